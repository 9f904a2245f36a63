"""The tape: closures in order of execution, walked backwards for gradients.

Execution order reversed is a topological order, so there is no sort and no recursion. A gradient
that came from a closure is *borrowed* (it may be another gradient, or a view of it) and copied on
the second accumulation; a sum made here is *owned* and added to in place.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Self

import numpy as np

from gpunn.arguments import as_tuple
from gpunn.autodiff.conversion import asarray, tensors_of
from gpunn.autodiff.dtypes import is_float
from gpunn.autodiff.rows import RowGradient, densely
from gpunn.autodiff.tensor import Tensor
from gpunn.backend import devices
from gpunn.backend.kernel import kernel
from gpunn.backend.protocol import Array
from gpunn.backend.transfer import copy_into, fill
from gpunn.errors import DTypeError, GradientError, ShapeError, described


class _State(threading.local):
    tapes: tuple[Tape, ...] = ()  # those that record now
    read: Callable[[Any], Any] | None = None  # what an op takes in place of an input
    substitute: Callable[[Any], Any] | None = None  # the same, whatever layers do about dtypes
    autocast: np.dtype | None = None  # in which `read` gives float variables, None: their own

    def __init__(self) -> None:
        self.destinations: dict[int, Array] = {}  # where the gradient of an array (by id) shall go
        self.by_rows: set[int] = set()  # arrays (by id) whose gradient may be a RowGradient


state = _State()


class uncast:  # noqa: N801
    """Inside, ops take variables in their own dtypes, whatever the layer around computes in."""

    __slots__ = ("outer",)

    def __enter__(self) -> None:
        self.outer = state.read, state.autocast
        state.read, state.autocast = state.substitute, None

    def __exit__(self, *_: object) -> None:
        state.read, state.autocast = self.outer


def _pairs(rng: np.random.Generator, dtype: str) -> Iterable[tuple[tuple, dict]]:
    for shape in ((), (0, 3), (5, 7)):
        a, b = rng.standard_normal((2, *shape)).astype(dtype)
        yield (np.asarray(a), np.asarray(b), np.full(shape, np.nan, dtype)), {}


@kernel(examples=_pairs)
def accumulate(xp: Any, a: Array, b: Array, out: Array) -> None:
    """out = a + b, the sum of two gradients; `out` may be `a`."""
    xp.add(a, b, out=out)


class Joint:
    """One closure for all gradients of an op: `closure(dy, needed) -> (dx, dw, ...)`.

    `needed[i]` says whether the gradient of input i is wanted; the rest may be None.
    """

    __slots__ = ("closure",)

    def __init__(self, closure: Callable[..., Sequence[Array | None]]):
        self.closure = closure


def grad_like(array: Array) -> Array:
    """Where to write the gradient of an input: its place in a flat buffer, or a new array."""
    place = state.destinations.pop(id(array), None)
    return devices.empty_like(array) if place is None else place


def takes_rows(array: Array) -> bool:
    """Whether the gradient of this input may be a `RowGradient`."""
    return id(array) in state.by_rows


class Tape:
    """Records `(output, tracked inputs, gradients)` of every op on a tracked tensor."""

    def __init__(self) -> None:
        self.records: list[tuple] = []

    def __enter__(self) -> Self:
        state.tapes = (*state.tapes, self)
        return self

    def __exit__(self, *_: object) -> None:
        state.tapes = tuple(tape for tape in state.tapes if tape is not self)

    def backward(
        self,
        seeds: dict[int, Array],
        wanted: Sequence[Tensor],
        into: Sequence[Array] | None = None,
        keep: bool = False,
        by_rows: Sequence[bool] = (),
    ) -> list[Any]:
        """Gradients of `wanted`, given those of the outputs: `{id(tensor): dy}`.

        `into` gives each wanted gradient a place. Without `keep`, records are freed on the way.
        Where `by_rows` is True, the gradient may be a `RowGradient`, which has no place.
        """
        _refuse_while_recording()
        grads = dict(seeds)
        owned: set[int] = set()
        if into is not None:
            state.destinations = {id(t.data): place for t, place in zip(wanted, into, strict=True)}
            owned = {id(place) for place in into}
        state.by_rows = {id(t.data) for t, may in zip(wanted, by_rows, strict=False) if may}
        kept: dict[int, Array] = {}
        wanted_ids = {id(t) for t in wanted}
        try:
            records = reversed(self.records) if keep else _drain(self.records)
            for output, inputs, gradients in records:
                dy = _take(grads, output, wanted_ids, kept, owned)
                if dy is not None:
                    _propagate(dy, inputs, gradients, grads, owned)
        finally:
            state.destinations, state.by_rows = {}, set()
        found = [kept.get(id(t), grads.get(id(t))) for t in wanted]
        return found if into is None else _settle(found, into)


def is_differentiating() -> bool:
    """True while a tape of this thread records."""
    return bool(state.tapes)


def _refuse_while_recording() -> None:
    if state.tapes:
        raise GradientError(
            "gradient() was called while a tape records; gpunn has first derivatives only. "
            "Call it after the `with` block."
        )


def _drain(records: list[tuple]) -> Iterable[tuple]:
    while records:
        yield records.pop()


def _take(grads: dict, output: Any, wanted: set[int], kept: dict, owned: set[int]) -> Any:
    """The gradient of an op's output, or a tuple of them; None if nothing flows there.

    From here on closures may pass it on, so it is borrowed.
    """
    if type(output) is tuple:
        dys = tuple(_take(grads, o, wanted, kept, owned) for o in output)
        return None if all(dy is None for dy in dys) else dys
    dy = grads.pop(id(output), None)
    owned.discard(id(dy))
    if dy is not None and id(output) in wanted:
        kept[id(output)] = dy
    return dy


def _propagate(dy: Any, inputs: list, gradients: Any, grads: dict, owned: set[int]) -> None:
    """Add the gradients of an op's tracked inputs, given that of its output."""
    if type(gradients) is Joint:
        found = gradients.closure(dy, [x is not None for x in inputs])
    else:
        found = [
            None if x is None else closure(dy) for x, closure in zip(inputs, gradients, strict=True)
        ]
    for x, dx in zip(inputs, found, strict=True):
        if x is None or dx is None:
            continue
        before = grads.get(id(x))
        if before is None:
            grads[id(x)] = dx
            continue
        before, dx = densely(before), densely(dx)
        grads[id(x)] = before
        if id(before) in owned:
            accumulate(before, dx, before)
        else:
            total = devices.empty_like(before)
            accumulate(before, dx, total)
            owned.add(id(total))
            grads[id(x)] = total


def _settle(found: list[Any], into: Sequence[Array]) -> list[Any]:
    """Copy the gradients that were not written to their place."""
    for i, (gradient, place) in enumerate(zip(found, into, strict=True)):
        if gradient is not None and gradient is not place and type(gradient) is not RowGradient:
            copy_into(gradient, place)
            found[i] = place
    return found


class no_grad:  # noqa: N801
    """Inside, nothing is recorded by any tape.

    >>> with gpunn.no_grad():
    ...     y = model(x)
    """

    def __init__(self) -> None:
        self._outer: list[tuple[Tape, ...]] = []

    def __enter__(self) -> None:
        self._outer.append(state.tapes)
        state.tapes = ()

    def __exit__(self, *_: object) -> None:
        state.tapes = self._outer.pop()


class GradientTape(Tape):
    """Records what is computed inside, for gradients afterwards (TensorFlow's GradientTape).

    Trainable variables are watched by themselves, other tensors by `watch`. First derivatives.

    >>> with gpunn.GradientTape() as tape:
    ...     loss = gpunn.ops.mean(model(x, training=True) ** 2)
    >>> gradients = tape.gradient(loss, model.trainable_variables)
    """

    def __init__(self, persistent: bool = False):
        super().__init__()
        self.persistent = persistent
        self._used = False
        self._watched: list[Tensor] = []

    def watch(self, tensor: Any) -> None:
        """Record what is done with this tensor (or each of a list, tuple or dict), too."""
        for t in tensors_of("watch: what is watched", tensor):
            if not t.tracked:
                t.tracked = True
                self._watched.append(t)

    def gradient(self, target: Tensor, sources: Any, output_gradients: Any = None) -> Any:
        """d target / d sources, in the structure of `sources` (a tensor, or a list, tuple or dict
        of tensors); None if unconnected.

        A target that is not a scalar is summed, or weighed by `output_gradients`.
        """
        if self._used and not self.persistent:
            raise GradientError(
                "This tape's gradient() was taken already, and its records are freed. "
                "Use GradientTape(persistent=True) to take several."
            )
        _refuse_while_recording()
        wanted = tensors_of("gradient: sources", sources)
        if not isinstance(target, Tensor):
            raise TypeError(
                f"gradient: the target must be one tensor that was computed inside the tape, "
                f"received {described(target)}. Sum several targets."
            )
        dy = _seed(target, output_gradients)
        self._used = True
        found = self.backward({id(target): dy}, wanted, keep=self.persistent)
        if not self.persistent:
            self._release()
        tensors = [None if g is None else Tensor(g) for g in found]
        if isinstance(sources, Tensor):
            return tensors[0]
        if isinstance(sources, dict):
            return dict(zip(sources, tensors, strict=True))
        return type(sources)(tensors)

    def _release(self) -> None:
        for t in self._watched:
            t.tracked = False
        self._watched = []


def _seed(target: Tensor, weights: Any) -> Array:
    """d (Σ weights · target) / d target, where the weights are ones if there are none."""
    dy = devices.empty_like(target.data)
    if weights is None:
        fill(dy, value=1)
        return dy
    array = asarray(weights, like=target.data)
    if array.shape != target.shape:
        raise ShapeError(
            f"gradient: output_gradients has shape {array.shape}, the target {target.shape}. They "
            f"must agree."
        )
    copy_into(array, dy)
    return dy


def value_and_grad(function: Callable[..., Tensor], argnums: int | tuple[int, ...] = 0) -> Callable:
    """A function that returns `(function(*args), gradient)`; see `grad`."""
    several = isinstance(argnums, tuple)
    numbers = as_tuple(argnums)
    if not callable(function) or not all(hasattr(i, "__index__") for i in numbers):
        raise TypeError(
            f"grad takes a function, and the position (or positions) of its arguments, received "
            f"{function!r} and argnums={argnums!r}."
        )

    def differentiated(*args: Any, **kwargs: Any) -> tuple[Tensor, Any]:
        inputs: list[Any] = list(args)
        if not all(-len(args) <= i < len(args) for i in numbers):
            raise TypeError(
                f"grad: argnums={argnums}, but the function was called with {len(args)} positional "
                f"argument(s). Give those to differentiate by in their places, not by keyword."
            )
        for i in numbers:
            array = asarray(args[i], None)
            if not is_float(array.dtype):
                raise DTypeError(
                    f"grad: argument {i} has dtype {array.dtype}, which has no derivative. "
                    f"Give floats."
                )
            inputs[i] = Tensor(array, tracked=True)
        with GradientTape() as tape:
            value = function(*inputs, **kwargs)
        if not isinstance(value, Tensor) or value.size != 1:
            shape = getattr(value, "shape", type(value).__name__)
            raise ShapeError(f"grad: the function must return one number, received {shape}.")
        gradients = tape.gradient(value, tuple(inputs[i] for i in numbers))
        return value, gradients if several else gradients[0]

    return differentiated


def grad(function: Callable[..., Tensor], argnums: int | tuple[int, ...] = 0) -> Callable:
    """The gradient of a function that returns one number, with respect to its argument(s).

    >>> gpunn.grad(lambda x: gpunn.ops.sum(x**2))(gpunn.ops.convert_to_tensor([1.0, 2.0])).numpy()
    array([2., 4.], dtype=float32)
    """
    with_value = value_and_grad(function, argnums)
    return lambda *args, **kwargs: with_value(*args, **kwargs)[1]
