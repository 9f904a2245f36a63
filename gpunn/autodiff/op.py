"""op: makes a function of arrays a function of tensors that differentiates and infers shapes."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from gpunn.autodiff import tape
from gpunn.autodiff.dtypes import as_dtype, is_float, promote, to_float
from gpunn.autodiff.symbolic import Spec, SymbolicTensor
from gpunn.autodiff.tape import Joint, grad_like
from gpunn.autodiff.tensor import Tensor, asarray

#: All ops by name; the op suite of the tests walks it.
registry: dict[str, Callable] = {}

_NUMBERS = (int, float, bool)


def op(shape: Callable, promotes: str | None = None) -> Callable[[Callable], Callable]:
    """Decorate a function of arrays `f(*arrays, **options) -> (y, gradients)`.

    `gradients`: one closure per input (`dy -> dx`), or a `Joint`, or None where there is no
    derivative. `y` may be a tuple; then `dy` is one, too, with None for unused parts.

    `shape(*inputs, **options) -> Spec` is the contract: it checks shapes before any arithmetic,
    and answers for symbolic tensors as well (unknown lengths are None). `inputs` are whatever the
    caller passed that has `.shape` and `.dtype`; numbers stay numbers, None stays None.

    `promotes`: ``"common"`` casts the inputs to their common dtype, ``"float"`` makes that a float.
    """

    def decorate(function: Callable) -> Callable:
        @functools.wraps(function)
        def call(*inputs: Any, **options: Any) -> Any:
            tensors = []
            tracked = symbolic = False
            for x in inputs:
                if not isinstance(x, Tensor):
                    if isinstance(x, SymbolicTensor):
                        symbolic = True
                    elif x is not None and type(x) not in _NUMBERS:
                        x = Tensor(asarray(x, None, _first_array(inputs)))
                elif x.tracked:
                    tracked = True
                tensors.append(x)
            if promotes is not None:
                tensors = _promoted(tensors, promotes)
            if symbolic:
                return _symbolic(call, shape(*tensors, **options), tuple(tensors), options)
            arrays = [x.data if isinstance(x, Tensor) else x for x in tensors]
            shape(*arrays, **options)
            y, gradients = function(*arrays, **options)
            tracked = tracked and gradients is not None and bool(tape.state.tapes)
            if type(y) is tuple:
                out: Any = tuple(Tensor(part, tracked and is_float(part.dtype)) for part in y)
            else:
                tracked = tracked and is_float(y.dtype)
                out = Tensor(y, tracked)
            if tracked:
                record = (
                    out,
                    tuple(x if isinstance(x, Tensor) else None for x in tensors),
                    gradients,
                )
                for recording in tape.state.tapes:
                    recording.records.append(record)
            return out

        call.shape_rule = shape  # type: ignore[attr-defined]
        registry[function.__name__.strip("_")] = call
        return call

    return decorate


def _first_array(inputs: tuple) -> Any:
    """The array whose device decides where constants go."""
    return next((x.data for x in inputs if isinstance(x, Tensor)), None)


def _promoted(inputs: list, rule: str) -> list:
    """The inputs cast to one dtype; Python numbers are weak: a float makes integers floatx."""
    tensors = [x for x in inputs if x is not None and type(x) not in _NUMBERS]
    if not tensors:
        inputs = [Tensor(asarray(x)) for x in inputs]
        tensors = inputs
    first = tensors[0].data.dtype if isinstance(tensors[0], Tensor) else as_dtype(tensors[0].dtype)
    dtype = first
    for x in tensors[1:]:
        other = x.data.dtype if isinstance(x, Tensor) else as_dtype(x.dtype)
        if other != dtype:
            dtype = promote(dtype, other)
    if not is_float(dtype):
        if rule == "float" or any(type(x) is float for x in inputs):
            dtype = to_float(dtype)
        elif dtype.kind == "b" and any(type(x) is int for x in inputs):
            dtype = as_dtype("int32")
    cast = registry["cast"]
    return [
        x if x is None or type(x) in _NUMBERS or as_dtype(x.dtype) == dtype else cast(x, dtype=dtype)
        for x in inputs
    ]


def _symbolic(call: Callable, specs: Any, inputs: tuple, options: dict) -> Any:
    history = (call, inputs, options)
    if isinstance(specs, Spec):
        return SymbolicTensor(specs.shape, specs.dtype, history=(*history, 0))
    return tuple(
        SymbolicTensor(spec.shape, spec.dtype, history=(*history, i)) for i, spec in enumerate(specs)
    )


def same(x: Any, *_: Any, **__: Any) -> Spec:
    """The shape rule of an op whose output is like its first input."""
    return Spec(x.shape, as_dtype(x.dtype))


__all__ = ["Joint", "Spec", "grad_like", "op", "registry", "same"]
