"""`cupy.ElementwiseKernel`, run by the emulator with its checks on."""

import math
from dataclasses import dataclass

import numpy as np

from . import device
from .array import ndarray
from .emulator import EmulatedModule

_C_TYPES = {
    "bool": "bool",
    "int8": "signed char",
    "int16": "short",
    "int32": "int",
    "int64": "long long",
    "uint8": "unsigned char",
    "uint16": "unsigned short",
    "uint32": "unsigned int",
    "uint64": "unsigned long long",
    "float16": "float16",
    "bfloat16": "bfloat16",
    "float32": "float",
    "float64": "double",
}
_BLOCKS, _THREADS = 2, 32  # of an elementwise kernel: few, each takes many elements


@dataclass(frozen=True)
class _Parameter:
    ctype: str
    name: str
    raw: bool
    is_const: bool

    @property
    def dtype(self):
        """Of a fixed type such as `float32`; None for a placeholder such as `T`."""
        return None if len(self.ctype) == 1 else _dtype(self.ctype)


def _dtype(name):
    if name == "bfloat16":
        import ml_dtypes

        return np.dtype(ml_dtypes.bfloat16)
    return np.dtype(name)


def _parse(declaration, is_const):
    parameters = []
    for text in filter(None, (part.strip() for part in declaration.split(","))):
        *modifiers, ctype, name = text.split()
        parameters.append(_Parameter(ctype, name, "raw" in modifiers, is_const))
    return parameters


class ElementwiseKernel:
    """The same operation on every element, as CUDA C++ text; see cupy.ElementwiseKernel."""

    def __init__(
        self,
        in_params,
        out_params,
        operation,
        name="kernel",
        reduce_dims=True,
        preamble="",
        no_return=False,
        return_tuple=False,
        **options,
    ):
        self.name, self.operation, self.preamble = name, operation, preamble
        self.in_params = _parse(in_params, is_const=True)
        self.out_params = _parse(out_params, is_const=False)
        self.params = self.in_params + self.out_params
        self.nin, self.nout = len(self.in_params), len(self.out_params)
        self._no_return, self._return_tuple = no_return, return_tuple
        self._loop_prep = options.pop("loop_prep", "")
        self._after_loop = options.pop("after_loop", "")
        self._options = tuple(options.pop("options", ()))
        if options:
            raise TypeError(f"not simulated: {', '.join(options)}")
        self._kernels = {}

    def __call__(self, *args, size=None, block_size=128, stream=None):
        if len(args) not in (self.nin, self.nin + self.nout):
            raise TypeError(
                f"Wrong number of arguments for {self.name!r}. It must be either {self.nin} or "
                f"{self.nin + self.nout} (with outputs), but given {len(args)}."
            )
        for arg in args:
            if isinstance(arg, np.ndarray) and arg.ndim > 0:
                raise TypeError(f"Unsupported type {type(arg)}")
        types = self._types(args)
        shape = self._shape(args, size)
        outputs = list(args[self.nin :]) or self._new_outputs(types, shape)
        self._run([*args[: self.nin], *outputs], types, shape, stream)
        if self._no_return:
            return None
        return outputs[0] if self.nout == 1 and not self._return_tuple else tuple(outputs)

    def _types(self, args):
        """{placeholder or fixed type: dtype}, which the arrays decide; scalars follow."""
        types = {}
        for parameter, arg in reversed(list(zip(self.params, args, strict=False))):
            if not isinstance(arg, ndarray):
                if not parameter.is_const:
                    raise TypeError("Output arguments must be cupy.ndarray")
                continue
            wanted = parameter.dtype or types.setdefault(parameter.ctype, arg.dtype)
            if arg.dtype != wanted:
                raise TypeError(
                    f"Type is mismatched. {parameter.name} {arg.dtype} {wanted} {parameter.ctype}"
                )
        for parameter in self.params:
            if parameter.dtype is None and parameter.ctype not in types:
                raise TypeError(f"Cannot decide the type {parameter.ctype} of {parameter.name}")
            types.setdefault(parameter.ctype, parameter.dtype)
        return types

    def _shape(self, args, size):
        arrays = [(p, a) for p, a in zip(self.params, args, strict=False) if isinstance(a, ndarray)]
        shapes = [a.shape for p, a in arrays if not p.raw]
        if size is not None:
            if shapes:
                raise ValueError(
                    "Specified 'size' can be used only if all of the ndarray are 'raw'."
                )
            return (size,)
        if not shapes:
            raise ValueError("Loop size is undecided.")
        shape = np.broadcast_shapes(*shapes)
        for parameter, array in arrays:
            if not parameter.is_const and not parameter.raw and array.shape != shape:
                raise ValueError("Out shape is mismatched")
        return shape

    def _new_outputs(self, types, shape):
        if any(parameter.raw for parameter in self.out_params):
            raise ValueError("Output array size is Undecided")
        return [ndarray(shape, types[parameter.ctype]) for parameter in self.out_params]

    def _run(self, args, types, shape, stream):
        raw, names = [], []
        for parameter, arg in zip(self.params, args, strict=True):
            names.append(parameter.name)
            if not isinstance(arg, ndarray):
                raw.append(np.asarray(arg).astype(types[parameter.ctype])[()])
                continue
            array = arg._array if parameter.raw else np.broadcast_to(arg._array, shape)
            raw += [arg._array, np.array([array.ndim, *array.shape, *array.strides], np.int64)]
            names.append(f"{parameter.name}.layout")
        count = np.int64(math.prod(shape))
        kernel = self._kernel(types, [isinstance(arg, ndarray) for arg in args])

        def action():
            kernel((_BLOCKS,), (_THREADS,), (*raw, count), names=names)

        if count:
            device.launch(self.name, action, stream)

    def _kernel(self, types, are_arrays):
        key = (tuple((name, str(dtype)) for name, dtype in types.items()), tuple(are_arrays))
        if key not in self._kernels:
            device.refuse_capture(f"the first compilation of {self.name}")
            source = self._source(types, are_arrays)
            self._kernels[key] = EmulatedModule(source, self._options).get_function(self.name)
        return self._kernels[key]

    def _source(self, types, are_arrays):
        """What CuPy generates, with the emulator's array class."""
        placeholders = {p.ctype for p in self.params if p.dtype is None}
        lines = [f"typedef {_C_TYPES[types[name].name]} {name};" for name in sorted(placeholders)]
        declared, prepared, bound = [], [], []
        for parameter, is_array in zip(self.params, are_arrays, strict=True):
            name, const = parameter.name, "const " if parameter.is_const else ""
            ctype = const + _C_TYPES[types[parameter.ctype].name]
            if not is_array:
                declared.append(f"{ctype} {name}")
                continue
            target = name if parameter.raw else f"_raw_{name}"
            declared += [f"{ctype} *_data_{name}", f"const long long *_layout_{name}"]
            prepared.append(f"CArray<{ctype}> {target} = {{_data_{name}, _layout_{name}}};")
            if not parameter.raw:
                bound.append(f"{ctype} &{name} = {target}[i];")
        return "\n".join(
            [
                '#include "cupy_types.h"',
                *lines,
                self.preamble,
                f'extern "C" __global__ void {self.name}({", ".join(declared)}, long long _n) {{',
                *prepared,
                f"{self._loop_prep};",
                "CUPY_FOR(i, _n) {",
                *bound,
                '#line 1 "operation"',
                f"{self.operation};",
                "}",
                f"{self._after_loop};",
                "}",
            ]
        )
