"""EmulatedModule and EmulatedKernel: called like cupy.RawModule and cupy.RawKernel."""

import ctypes
import os
import re
import threading

import numpy as np

from .compiler import EmulatorError, compile_kernels, expand, library_path, runtime, source_line
from .memory import Staging

_KERNEL = re.compile(
    r'extern\s+"C"\s+(?:__launch_bounds__\([^)]*\)\s*)?__global__\s+void\s+'
    r"(?:__launch_bounds__\([^)]*\)\s*)?(\w+)\s*\("
)
_EXPECTED = {"f": "a float", "i": "an integer", "p": "an array", "c": "an array"}
_ACCEPTED = {"f": "f", "i": "iub", "p": "u", "c": "u"}  # NumPy dtype kinds
_one_launch_at_a_time = threading.Lock()


class _Shape(ctypes.Structure):
    """`EmuLaunch` of runtime/abi.h"""

    _fields_ = [
        ("grid", ctypes.c_uint * 3),
        ("block", ctypes.c_uint * 3),
        ("dynamic_shared", ctypes.c_size_t),
        ("cooperative", ctypes.c_int),
        ("check", ctypes.c_int),
        ("order", ctypes.c_int),
    ]


class EmulatedModule:
    """CUDA source compiled for the CPU.

    `options` may hold -D, -U and -I; others are CUDA's and do not matter here. With `check`,
    every memory access is watched (bounds, alignment, uninitialised shared memory, races),
    which costs about a factor of ten in speed; $GPUNN_EMULATOR_CHECK=0 turns it off by default.
    """

    def __init__(self, code, options=(), name_expressions=(), check=None):
        if check is None:
            check = os.environ.get("GPUNN_EMULATOR_CHECK", "1") != "0"
        self.check = check
        self.path = library_path(code, (*options, *(name_expressions or ())), check)
        names_file = self.path.with_suffix(".names")
        if not (self.path.exists() and names_file.exists()):
            text = expand(code, options)
            self.names = list(dict.fromkeys([*_KERNEL.findall(text), *(name_expressions or ())]))
            compile_kernels(self.path, text + self._entries(), check)
            _write(names_file, "\n".join(self.names))
        self.names = names_file.read_text().splitlines()
        runtime()
        self.library = ctypes.CDLL(str(self.path))

    def _entries(self):
        lines = ['\n#line 1 "entries"']
        for index, name in enumerate(self.names):
            lines += [
                f'extern "C" int emu_entry_{index}(void **arguments, const EmuLaunch *shape)',
                f"{{ return emu::launch({name}, arguments, shape); }}",
                f'extern "C" int emu_signature_{index}(char *out)',
                f"{{ return emu::signature({name}, out); }}",
            ]
        return "\n".join(lines) + "\n"

    def get_function(self, name):
        if name not in self.names:
            raise EmulatorError(f"no kernel {name!r}; there are: {', '.join(self.names)}")
        return EmulatedKernel(self, name)


def _write(path, text):
    """All of a small file or none of it; whoever comes second writes the same."""
    aside = path.with_name(f"{path.name}.{threading.get_native_id()}")
    aside.write_text(text)
    aside.replace(path)


class EmulatedKernel:
    """One kernel. `kernel(grid, block, args)` changes the NumPy arrays among `args` in place."""

    def __init__(self, module, name):
        self.module, self.name = module, name
        index = module.names.index(name)
        self._entry = getattr(module.library, f"emu_entry_{index}")
        buffer = ctypes.create_string_buffer(512)
        count = getattr(module.library, f"emu_signature_{index}")(buffer)
        pairs = buffer.raw[: 2 * count]
        self.signature = [(chr(pairs[i]), pairs[i + 1]) for i in range(0, 2 * count, 2)]

    def __call__(
        self, grid, block, args, shared_mem=0, cooperative=False, order=0, readonly=(), names=()
    ):
        """Launch and wait. `order`: 0 in order, 1 reversed, more: seed of a random order.

        `readonly`: positions of further arguments that must not be written; `const T *` ones
        never may. `names`: what to call the arguments in messages. Raises EmulatorError with
        the CUDA source line of what went wrong.
        """
        if len(args) != len(self.signature):
            raise EmulatorError(
                f"{self.name} takes {len(self.signature)} arguments, received {len(args)}"
            )
        shape = _Shape(
            (ctypes.c_uint * 3)(*(*grid, 1, 1)[:3]),
            (ctypes.c_uint * 3)(*(*block, 1, 1)[:3]),
            shared_mem,
            cooperative,
            self.module.check,
            order,
        )
        with _one_launch_at_a_time:
            self._launch(shape, args, readonly, names)

    def _launch(self, shape, args, readonly, names):
        runtime().emu_clear()
        staging = Staging()
        values = []  # one NumPy scalar or address each, alive until the kernel is done
        for index, (arg, (letter, size)) in enumerate(zip(args, self.signature)):
            if isinstance(arg, np.ndarray):
                if letter not in "pc":
                    raise self._misfit(index, "an array", letter, size)
                name = names[index] if index < len(names) else f"arg{index}"
                staging.add(index, arg, name, letter == "c" or index in readonly)
                values.append(None)
            else:
                values.append(self._scalar(index, arg, letter, size))
        for index, address in staging.place(runtime()).items():
            values[index] = np.array(address, np.uintp)
        pointers = (ctypes.c_void_p * max(1, len(values)))(*(v.ctypes.data for v in values))
        self.module.library.emu_touch_shared()
        if self._entry(pointers, ctypes.byref(shape)):
            raise EmulatorError(f"{self.name}: {self._complaints()}")
        staging.bring_back()

    def _scalar(self, index, arg, letter, size):
        """Packed as CuPy does: bool as bool, int as int64, float as float64."""
        if arg is None:
            raise TypeError("CuPy passes None as 0xffffffff: give np.uint64(0) for a null pointer")
        if letter in "pc":
            value = np.array(arg, np.uintp)
        else:
            value = np.array(arg)
        kind = (value.dtype.name == "bfloat16" and "f") or value.dtype.kind
        if value.nbytes != size or kind not in _ACCEPTED[letter]:
            raise self._misfit(index, value.dtype, letter, size)
        return value

    def _misfit(self, index, received, letter, size):
        return EmulatorError(
            f"{self.name}: argument {index} is {received}, "
            f"the kernel wants {_EXPECTED[letter]} of {size} bytes"
        )

    def _complaints(self):
        buffer = ctypes.create_string_buffer(1 << 15)
        runtime().emu_errors(buffer, ctypes.c_size_t(len(buffer)))
        lines = []
        for line in buffer.value.decode().splitlines():
            address, message = line.split("|", 1)
            if address != "0":
                message += f" at {source_line(self.module.path, address)}"
            lines.append(message)
        return "\n".join(lines)
