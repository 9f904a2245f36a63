"""op: makes a function of arrays a function of tensors that differentiates and infers shapes."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from gpunn.autodiff import tape
from gpunn.autodiff.arguments import arranged, parameters_of, unknown_option
from gpunn.autodiff.conversion import asarray
from gpunn.autodiff.dtypes import as_dtype, is_float, promote, to_float
from gpunn.autodiff.symbolic import Node, Spec, SymbolicTensor
from gpunn.autodiff.tape import Joint, grad_like
from gpunn.autodiff.tensor import Tensor

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

    `promotes`: ``"common"`` casts the inputs to their common dtype, ``"float"`` makes that a float,
    ``"number"`` an int32 if it is bool, ``"product"`` an int32 if all are int8.

    Inputs are the parameters annotated ``Array`` (or ``Array | None``), in a function without
    annotations those without a default. They come first; the ones after them are options, which
    callers may also give by position.
    """

    def decorate(function: Callable) -> Callable:
        signature: list[tuple[int, tuple[str, ...]]] = []  # read at the first call

        @functools.wraps(function)
        def call(*inputs: Any, **options: Any) -> Any:
            if not signature:
                signature.append(parameters_of(function))
            arity, names = signature[0]
            if options and names and not set(names).issuperset(options):
                raise unknown_option(call, options, names)
            if not 0 < len(inputs) <= arity or (options and names and len(inputs) < arity):
                inputs, options = arranged(call, inputs, arity, names, options)
            tensors, symbolic = _as_tensors(inputs)
            if promotes is not None:
                tensors = _promoted(tensors, promotes)
            if symbolic:
                return _symbolic(call, shape(*tensors, **options), tuple(tensors), options)
            arrays = [x.data if isinstance(x, Tensor) else x for x in tensors]
            shape(*arrays, **options)
            y, gradients = function(*arrays, **options)
            return _recorded(y, gradients, tensors)

        call.shape_rule = shape  # type: ignore[attr-defined]
        registry[function.__name__.strip("_")] = call
        return call

    return decorate


def _as_tensors(inputs: tuple) -> tuple[list, bool]:
    """The inputs as tensors, and whether one is symbolic. Numbers beside tensors stay numbers."""
    tensors, symbolic, read = [], False, tape.state.read
    for x in inputs:
        if read is not None:
            x = read(x)
        if not isinstance(x, Tensor):
            if isinstance(x, SymbolicTensor):
                symbolic = True
            elif type(x) is np.float64 and len(inputs) > 1:
                x = float(x)  # x / np.sqrt(64): a Python float by its class, and as weak
            elif x is not None and (type(x) not in _NUMBERS or len(inputs) == 1):
                x = Tensor(asarray(x, None, _first_array(inputs)))
        tensors.append(x)
    return tensors, symbolic


def _recorded(y: Any, gradients: Any, inputs: list) -> Any:
    """The output as a tensor, on record with the tapes if it depends on a tracked input."""
    tapes = tape.state.tapes
    sources: list[Tensor | None] = []  # untracked inputs are not kept alive
    tracked = False
    if tapes and gradients is not None:
        for x in inputs:
            if isinstance(x, Tensor) and x.tracked:
                tracked = True
                sources.append(x)
            else:
                sources.append(None)
    if type(y) is tuple:
        out: Any = tuple(Tensor(part, tracked and is_float(part.dtype)) for part in y)
    else:
        tracked = tracked and is_float(y.dtype)
        out = Tensor(y, tracked)
    if tracked:
        for recording in tapes:
            recording.records.append((out, sources, gradients))
    return out


def _first_array(inputs: tuple) -> Any:
    """The array whose device decides where constants go."""
    return next((x.data for x in inputs if isinstance(x, Tensor)), None)


def _promoted(inputs: list, rule: str) -> list:
    """The inputs cast to one dtype; Python numbers are weak: a float makes integers floatx."""
    dtypes = {_dtype_of(x) for x in inputs if x is not None and type(x) not in _NUMBERS}
    if not dtypes:
        return _promoted([Tensor(asarray(x)) for x in inputs], rule)
    dtype = promote(*dtypes)
    if is_float(dtype):
        if len(dtypes) == 1:
            return inputs  # the common case
    elif rule == "float" or any(type(x) is float for x in inputs):
        dtype = to_float(dtype)
    elif rule == "product":
        dtype = as_dtype("int32") if dtypes == {as_dtype("int8")} else dtype
    elif dtype.kind == "b" and (rule == "number" or any(type(x) is int for x in inputs)):
        dtype = as_dtype("int32")
    cast = registry["cast"]
    return [
        x if x is None or type(x) in _NUMBERS or _dtype_of(x) == dtype else cast(x, dtype=dtype)
        for x in inputs
    ]


def _dtype_of(x: Any) -> Any:
    return x.data.dtype if isinstance(x, Tensor) else as_dtype(x.dtype)


def _symbolic(call: Callable, specs: Any, inputs: tuple, options: dict) -> Any:
    node = Node(call, inputs, options)
    if isinstance(specs, Spec):
        return SymbolicTensor(specs.shape, specs.dtype, node=node)
    return tuple(SymbolicTensor(spec.shape, spec.dtype, node=node) for spec in specs)


def same(x: Any, *_: Any, **__: Any) -> Spec:
    """The shape rule of an op whose output is like its first input."""
    return Spec(x.shape, as_dtype(x.dtype))


__all__ = ["Joint", "Spec", "grad_like", "op", "registry", "same"]
