"""Functions made of ops: where an input is symbolic they become one node, computed as a whole."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

from gpunn.autodiff.dtypes import is_float
from gpunn.autodiff.symbolic import Node, Spec, SymbolicTensor
from gpunn.ops.creation import cast, convert_to_tensor
from gpunn.ops.rules import result_dtype
from gpunn.structure import leaves, map_structure

#: The decorated functions by name, by which descriptions of models tell them.
composites: dict[str, Callable] = {}


def is_symbolic(*values: Any) -> bool:
    """Whether there is a symbolic tensor anywhere in these structures."""
    return any(isinstance(leaf, SymbolicTensor) for leaf in leaves(values))


def later(call: Callable, args: tuple, kwargs: dict[str, Any], outputs: Any) -> Any:
    """Symbolic outputs like those given, computed by `call(*args, **kwargs)` once values are known.

    `outputs`: a structure of things with a shape and a dtype.
    """
    node = Node(call, args, kwargs)
    return map_structure(lambda y: SymbolicTensor(y.shape, y.dtype, node=node), outputs)


def composite(rule: Callable[..., Spec]) -> Callable[[Callable], Callable]:
    """Decorate a function of tensors made of other ops, whose steps need all lengths.

    `rule(*tensors, **options) -> Spec` checks the shapes before any arithmetic, and answers for
    symbolic tensors, as the one of `op` does.
    """

    def decorate(function: Callable) -> Callable:
        @functools.wraps(function)
        def call(*inputs: Any, **options: Any) -> Any:
            tensors = tuple(convert_to_tensor(x) for x in inputs)
            spec = rule(*tensors, **options)
            if is_symbolic(tensors):
                return later(call, tensors, options, SymbolicTensor(spec.shape, spec.dtype))
            return function(*tensors, **options)

        composites[function.__name__.strip("_")] = call
        return call

    return decorate


def in_single(function: Callable) -> Callable:
    """Decorate a function of tensors, or of pairs of them: what is annotated so and has no default.

    It sees 16-bit floats in 32 bits, and its results are cast back: LAPACK and FFT libraries know
    float32 and float64 only.
    """
    signature = inspect.signature(function)
    names = [
        p.name
        for p in signature.parameters.values()
        if p.default is p.empty and p.annotation in ("Any", "tuple[Any, Any]")
    ]

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        given = signature.bind(*args, **kwargs).arguments
        inputs = {name: map_structure(convert_to_tensor, given.pop(name)) for name in names}
        dtype = result_dtype(*leaves(inputs))
        if dtype.itemsize != 2 or not is_float(dtype):
            return function(**inputs, **given)
        wide = map_structure(lambda x: cast(x, "float32"), inputs)
        y = function(**wide, **given)
        return map_structure(lambda part: cast(part, dtype) if is_float(part.dtype) else part, y)

    return call
