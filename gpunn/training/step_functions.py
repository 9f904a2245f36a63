"""Steps as functions of an iterator of batches; the loss as a function of the variables' values."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any

from gpunn import ops
from gpunn.autodiff.tensor import Tensor
from gpunn.layers.stateless import check_values, substituted
from gpunn.structure import map_pairs, map_structure
from gpunn.training.data import one_batch
from gpunn.training.step import takes
from gpunn.utils.packing import unpack_x_y_sample_weight

_MAKERS = ("make_train_function", "make_test_function", "make_predict_function")


class StepFunctions:
    """`make_train_function` and its like, `stateless_compute_loss`; of models."""

    def __init_subclass__(cls, **options: Any):
        super().__init_subclass__(**options)
        for name in _MAKERS:
            if name in vars(cls) and not cls.__module__.startswith("gpunn."):
                step = name[len("make_") :].replace("function", "step")
                raise TypeError(
                    f"{cls.__name__}: fit, evaluate and predict do not call {name}. Override "
                    f"{step}(data) in its place."
                )

    def make_train_function(self, force: bool = False) -> Callable[[Iterator[Any]], Any]:
        """f(iterator): an update with each of the next `steps_per_execution` batches; the logs.

        Batches are x, (x, y) or (x, y, sample_weight). `force`: forget what was recorded.

        >>> train = model.make_train_function()
        >>> logs = train(iter(batches))
        """
        return self._step_function("train", force)

    def make_test_function(self, force: bool = False) -> Callable[[Iterator[Any]], Any]:
        """f(iterator): count each of the next `steps_per_execution` batches; the logs."""
        return self._step_function("test", force)

    def make_predict_function(self, force: bool = False) -> Callable[[Iterator[Any]], Any]:
        """f(iterator): the outputs for the next `steps_per_execution` batches, as tensors."""
        return self._step_function("predict", force)

    def _step_function(self: Any, kind: str, force: bool) -> Callable[[Iterator[Any]], Any]:
        if kind != "predict":
            self._need_compiled(f"make_{kind}_function")
        if force:
            self.make_step()

        def run(iterator: Iterator[Any]) -> Any:
            found = []
            for data in islice(iterator, self.steps_per_execution):
                batch = one_batch(*unpack_x_y_sample_weight(data))
                step = self.step_for(batch[0])
                used = batch[:1] if kind == "predict" else batch
                result = getattr(step, kind)(*used)
                if kind == "predict":  # a replay writes into the same arrays each time
                    result = map_structure(lambda t: Tensor(t.data.copy()), result)
                found.append(result)
            if not found:
                raise StopIteration("The iterator has no more batches.")
            if kind != "predict":
                return found[-1] or self.get_metrics_result()
            joined = found[0]
            for more in found[1:]:
                joined = map_pairs(lambda a, b: ops.concatenate([a, b]), joined, more)
            return joined

        return run

    def stateless_compute_loss(
        self: Any,
        trainable_variables: Sequence[Any],
        non_trainable_variables: Sequence[Any],
        metrics_variables: Sequence[Any],
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> tuple[Any, tuple[Any, list[Tensor], list[Tensor]]]:
        """(`compute_loss` for these values of the variables, (their values afterwards)).

        The model itself does not change. Gradients flow to y_pred and, through regularizers, to
        tensors among the trainable values.

        >>> y_pred, others = model.stateless_call(trainable, others, x, training=True)
        >>> loss, _ = model.stateless_compute_loss(trainable, others, counts, x, y, y_pred)
        """
        self._need_compiled("stateless_compute_loss")
        kinds = "trainable", "non_trainable", "metrics"
        given = trainable_variables, non_trainable_variables, metrics_variables
        own = [getattr(self, f"{kind}_variables") for kind in kinds]
        for kind, variables, values in zip(kinds, own, given, strict=True):
            check_values(self.name, kind, variables, values)
        with substituted([v for part in own for v in part], [v for part in given for v in part]):
            more = {"training": training} if takes(self.compute_loss, "training") else {}
            loss = self.compute_loss(x=x, y=y, y_pred=y_pred, sample_weight=sample_weight, **more)
            others, metrics = ([Tensor(v.data) for v in part] for part in own[1:])
        return loss, (trainable_variables, others, metrics)
