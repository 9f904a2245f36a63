"""Data for training: arrays cut into shuffled batches, or any iterable of batches."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sized
from functools import partial
from typing import Any

import numpy as np

from gpunn import config
from gpunn.arguments import is_number, is_whole, whole_number
from gpunn.autodiff.conversion import asarray
from gpunn.autodiff.dtypes import as_dtype
from gpunn.autodiff.tensor import Tensor
from gpunn.backend import devices
from gpunn.backend.protocol import Array
from gpunn.structure import leaves, map_pairs, map_structure
from gpunn.utils.packing import unpack_x_y_sample_weight
from gpunn.utils.py_dataset import PyDataset

Batch = tuple[Any, Any, Any]  # x, y, sample_weight; y and weights may be None


def to_tensors(value: Any) -> Any:
    """Arrays as tensors of the current device, in the structure they come in."""
    return map_structure(_to_tensor, value)


def _to_tensor(array: Array) -> Tensor:
    return Tensor(devices.current().asarray(array))


def _is_container(value: Any) -> bool:
    """A dict, or a list or tuple of arrays and such; a list of numbers is an array."""
    if isinstance(value, Mapping):
        return True
    return isinstance(value, (list, tuple)) and any(
        getattr(v, "shape", ()) or _is_container(v) for v in value
    )


def as_array(value: Any) -> Array:
    """An array of any library as the array of a backend; float64 becomes floatx, as in Keras."""
    if hasattr(value, "to_numpy"):  # pandas
        value = value.to_numpy()
    if isinstance(value, Tensor):
        value = value.data
    on_gpu = devices.opened.gpu_type is not None and isinstance(value, devices.opened.gpu_type)
    array = value if on_gpu else asarray(value, like=np.empty(0))
    if array.dtype == np.float64:
        array = array.astype(as_dtype(config.floatx()), copy=False)
    return array


def as_arrays(value: Any) -> Any:
    """`as_array` for each array in a structure."""
    return (
        map_structure(as_array, value)
        if _is_container(value)
        else (None if value is None else as_array(value))
    )


def _length(name: str, value: Any) -> list[tuple[str, int]]:
    found = []
    for array in leaves(value):
        if array.ndim == 0:
            raise ValueError(f"{name} must have a batch axis, received a single number.")
        found.append((name, array.shape[0]))
    return found


def signature(value: Any) -> Any:
    """Structure, shapes and dtypes of a batch."""
    if hasattr(value, "shape"):
        return value.shape, value.dtype.char
    if isinstance(value, dict):
        return tuple([(k, signature(v)) for k, v in value.items()])
    if isinstance(value, (tuple, list)):
        return tuple([signature(v) for v in value])
    return value


class ArrayData:
    """Arrays of one length, cut into batches.

    `batches` gives them in order, or, with a generator, in another order each time.
    """

    def __init__(
        self, x: Any, y: Any = None, sample_weight: Any = None, batch_size: int | None = None
    ):
        if batch_size is None:
            batch_size = 32
        self.batch_size = whole_number("batch_size", batch_size)
        if x is None:
            raise ValueError("x is None: give arrays, or an iterable of batches.")
        self.parts = tuple(as_arrays(part) for part in (x, y, sample_weight))
        lengths = [
            found
            for name, part in zip(("x", "y", "sample_weight"), self.parts, strict=True)
            for found in _length(name, part)
        ]
        if len({n for _, n in lengths}) != 1:
            listed = ", ".join(f"{name}: {n}" for name, n in lengths)
            raise ValueError(
                f"All arrays must have the same number of samples, received {listed}. "
                f"Make x, y and sample_weight equally long."
            )
        self.size = lengths[0][1]
        if self.size == 0:
            raise ValueError("The data is empty: x has 0 samples. Check how it was loaded.")
        self.steps = -(-self.size // self.batch_size)
        self.buffers: Any = None  # for whole shuffled batches; None: each in arrays of its own

    def split(self, fraction: float) -> tuple[ArrayData, ArrayData]:
        """Two data sets: all but the last fraction of the samples, and these."""
        if not isinstance(fraction, (int, float)) or not 0 < fraction < 1:
            raise ValueError(f"validation_split must lie between 0 and 1, received {fraction!r}.")
        cut = int(self.size * (1 - fraction))
        if cut == 0 or cut == self.size:
            raise ValueError(
                f"validation_split={fraction} of {self.size} samples leaves one side empty. "
                f"Give more data or another fraction."
            )
        first = [map_structure(lambda a: a[:cut], part) for part in self.parts]
        second = [map_structure(lambda a: a[cut:], part) for part in self.parts]
        return (
            ArrayData(first[0], first[1], first[2], self.batch_size),
            ArrayData(second[0], second[1], second[2], self.batch_size),
        )

    def weighted(self, class_weight: Mapping[int, float]) -> ArrayData:
        """The same data, each sample with the weight of its class."""
        x, y, sample_weight = self.parts
        if y is None:
            raise ValueError("class_weight needs the labels: give y.")
        if sample_weight is not None:
            raise ValueError("Give class_weight or sample_weight, not both.")
        return ArrayData(x, y, weights_of_classes(y, class_weight), self.batch_size)

    def batches(self, generator: np.random.Generator | None = None) -> Iterator[Batch]:
        """One epoch of host (or GPU) arrays, shuffled where a generator is given.

        Shuffled batches of full size are gathered into `buffers`, where there are any: use one
        before the next.
        """
        if generator is None:
            for start in range(0, self.size, self.batch_size):
                yield self._cut(lambda a: a[start : start + self.batch_size])  # noqa: B023
            return
        order = generator.permutation(self.size)
        whole = self.size - self.size % self.batch_size
        for start in range(0, self.size, self.batch_size):
            gather = partial(_gather, order[start : start + self.batch_size])
            if self.buffers is None or start == whole:
                yield self._cut(gather)
            else:
                yield map_pairs(gather, self.parts, self.buffers)

    def empty_batch(self) -> Any:
        """Host arrays for a whole batch; None for what lies on a GPU."""
        return map_structure(self._buffer, self.parts)

    def _cut(self, rows: Callable[[Array], Array]) -> Batch:
        x, y, sample_weight = self.parts
        return map_structure(rows, x), map_structure(rows, y), map_structure(rows, sample_weight)

    def _buffer(self, array: Array) -> Array | None:
        if not isinstance(array, np.ndarray):
            return None
        return np.empty((min(self.batch_size, self.size), *array.shape[1:]), array.dtype)


def _gather(rows: np.ndarray, array: Array, into: np.ndarray | None = None) -> Array:
    """The rows of these numbers; into a buffer, where there is one."""
    if isinstance(array, np.ndarray):
        return array.take(rows, axis=0, out=into, mode="clip")  # "raise" would gather twice
    return array[devices.backend_of(array).asarray(rows)]


class IterableData:
    """Batches from a generator or any iterable of `x`, `(x, y)` or `(x, y, sample_weight)`."""

    batch_size = None
    size = None

    def __init__(self, source: Iterable[Any], class_weight: Mapping[int, float] | None = None):
        self.source = source
        self.class_weight = class_weight
        if isinstance(source, PyDataset):
            self.steps = source.num_batches
        else:
            self.steps = len(source) if isinstance(source, Sized) else None
        self._is_loader = type(source).__module__.startswith("torch.")  # yields lists

    def weighted(self, class_weight: Mapping[int, float]) -> IterableData:
        """The same batches, each sample with the weight of its class."""
        return IterableData(self.source, class_weight)

    def batches(self, generator: np.random.Generator | None = None) -> Iterator[Batch]:
        """One pass. A generator goes on where the last pass stopped; its order is its own."""
        source = self.source
        for item in source.batches(generator) if isinstance(source, PyDataset) else source:
            is_batch = isinstance(item, tuple) or (self._is_loader and isinstance(item, list))
            x, y, sample_weight = map(
                as_arrays, unpack_x_y_sample_weight(item if is_batch else (item,))
            )
            if any(n == 0 for _, n in _length("x", x)):
                raise ValueError("A batch of the data has 0 samples. Leave empty ones out.")
            if self.class_weight is not None:
                if y is None or sample_weight is not None:
                    raise ValueError("class_weight needs batches (x, y), without sample weights.")
                sample_weight = weights_of_classes(y, self.class_weight)
            yield x, y, sample_weight


Data = ArrayData | IterableData


def epoch_of(data: Data, batches: Iterator[Batch]) -> Iterator[Batch]:
    """These batches of the data as one epoch; a PyDataset hears of its begin and its end."""
    source = data.source if isinstance(data, IterableData) else None
    if not isinstance(source, PyDataset):
        return batches
    return _heard(source, batches)


def _heard(source: PyDataset, batches: Iterator[Batch]) -> Iterator[Batch]:
    source.on_epoch_begin()
    yield from batches
    source.on_epoch_end()


def make_data(
    x: Any, y: Any = None, sample_weight: Any = None, batch_size: int | None = None
) -> Data:
    """The data set of what a user passes to fit, evaluate or predict."""
    if isinstance(x, (ArrayData, IterableData)):
        return x
    if x is None or _is_arrays(x):
        return ArrayData(x, y, sample_weight, batch_size)
    if not hasattr(x, "__iter__") or isinstance(x, (str, bytes)):
        raise ValueError(
            f"x is {x!r} ({type(x).__name__}): give arrays, or an iterable of batches (call the "
            f"function that makes them)."
        )
    if y is not None or sample_weight is not None:
        raise ValueError("With an iterable of batches, targets and weights come in its tuples.")
    if batch_size is not None:
        raise ValueError(
            f"Batches of an iterable have a size of their own. Leave out batch_size={batch_size}."
        )
    return IterableData(x)


def _is_arrays(x: Any) -> bool:
    """Whether x is an array or a structure of arrays, not an iterable of batches."""
    array_like = hasattr(x, "shape") or hasattr(x, "to_numpy")
    return array_like or isinstance(x, (list, tuple, Mapping))


def one_batch(
    x: Any,
    y: Any = None,
    sample_weight: Any = None,
    class_weight: Mapping[int, float] | None = None,
) -> Batch:
    """What a user passes as a single batch, of any number of samples."""
    data = ArrayData(x, y, sample_weight)
    if class_weight is not None:
        data = data.weighted(class_weight)
    x, y, sample_weight = data.parts
    return x, y, sample_weight


def make_validation(given: Any, batch_size: int | None, own_size: int | None) -> Data:
    """The data set of `validation_data`: x, (x, y) or (x, y, sample_weight), also as a list.

    Arrays are cut by `validation_batch_size`, or else as those of training.
    """
    parts = given if isinstance(given, (tuple, list)) else (given,)
    if not 1 <= len(parts) <= 3:
        raise ValueError(
            f"validation_data must be (x, y) or (x, y, sample_weight), received a "
            f"{type(parts).__name__} of {len(parts)}."
        )
    x, y, sample_weight = (*parts, None, None)[:3]
    if _is_arrays(x):
        return make_data(x, y, sample_weight, batch_size if own_size is None else own_size)
    if own_size is not None:
        raise ValueError(
            f"Batches of an iterable have a size of their own. Leave out validation_batch_size="
            f"{own_size}."
        )
    return make_data(x, y, sample_weight)


def split_data(data: Data, fraction: Any, batch_size: int | None) -> tuple[ArrayData, ArrayData]:
    """`validation_split`: all but the last fraction of the samples, and these."""
    if not isinstance(data, ArrayData):
        raise ValueError("validation_split needs arrays; give validation_data instead.")
    first, second = data.split(fraction)
    x, y, sample_weight = second.parts
    return first, ArrayData(x, y, sample_weight, batch_size)


def weights_of_classes(y: Any, class_weight: Mapping[int, float]) -> np.ndarray:
    """The sample weights that class weights mean: y holds labels, or one-hot rows."""
    if not isinstance(class_weight, Mapping):
        raise ValueError(
            f"class_weight must be a dict {{label: weight}}, received {class_weight!r}."
        )
    for label, weight in class_weight.items():
        if not is_whole(label, 0) or not is_number(weight) or not weight >= 0:
            raise ValueError(
                f"class_weight must give each label (0, 1, ...) a weight of at least 0, received "
                f"{label!r}: {weight!r}."
            )
    if isinstance(y, (dict, list, tuple)):
        raise ValueError("class_weight needs one array of labels, received several targets.")
    labels = devices.to_numpy(y) if not isinstance(y, np.ndarray) else y
    if labels.ndim > 1 and labels.shape[-1] > 1:
        labels = labels.argmax(axis=-1)
    labels = labels.reshape(labels.shape[0], -1)[:, 0].astype(np.int64)
    weights = np.ones(labels.shape, as_dtype(config.floatx()))
    for label, weight in class_weight.items():
        weights[labels == int(label)] = weight
    return weights
