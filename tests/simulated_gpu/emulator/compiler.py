"""Builds CUDA C++ with g++, and keeps what it built.

The cache holds shared libraries named by a hash of everything that went into them, so it never
needs clearing. Several test workers may share it: a library appears complete or not at all.
"""

import ctypes
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

HERE = Path(__file__).resolve().parent
COMPILER = os.environ.get("CXX", "g++")

# Keep every load and store where the source has it, so that the checks see them all.
WATCHED = (
    "-fsanitize=thread",
    "--param=tsan-instrument-func-entry-exit=0",
    "--param=tsan-distinguish-volatile=1",
)
KERNEL_FLAGS = ("-std=c++17", "-O1", "-g1", "-fPIC", "-w", "-fpermissive", "-ffp-contract=off")
KERNEL_FLAGS += ("-fno-strict-aliasing", "-fno-tree-sra", "-fno-ipa-sra")
# Two modules with the same template must not share its __shared__ variables.
KERNEL_FLAGS += ("-fno-gnu-unique",)
# What NVRTC predefines and kernels may ask for; GPUNN_EMU tells them that they are emulated.
PREDEFINED = ("-DGPUNN_EMU=1", "-D__CUDACC__", "-D__CUDACC_RTC__", "-D__CUDA_ARCH__=900")
# Named, because the driver would otherwise add the real thread sanitizer.
LIBRARIES = ("-nodefaultlibs", "-lstdc++", "-lm", "-lgcc_s", "-lc", "-lgcc")

_EXTERN_SHARED = re.compile(
    r"extern\s+(?:__align__\(\d+\)\s*)?__shared__\s+(?:(?:__align__|alignas)\(\d+\)\s*)?"
    r"([\w:]+(?:\s+\w+)*?)\s+(\w+)\s*\[\s*\]\s*;"
)


class EmulatorError(AssertionError):
    """A kernel does not compile, is called wrongly, or breaks a rule of CUDA while it runs."""


def available():
    """(whether kernels can be emulated here, why not)"""
    if sys.platform != "linux":
        return False, "the CUDA emulator needs Linux"
    if shutil.which(COMPILER) is None:
        return False, f"the CUDA emulator needs {COMPILER}, which is not installed"
    return True, ""


def cache_directory():
    """$GPUNN_EMULATOR_CACHE, or a folder of this user's among the temporary files."""
    default = Path(tempfile.gettempdir()) / f"gpunn-emulator-{os.getuid()}"
    directory = Path(os.environ.get("GPUNN_EMULATOR_CACHE", default))
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    return directory


def digest(*parts):
    return hashlib.sha256("\0".join(map(str, parts)).encode()).hexdigest()[:20]


def run(command, text=None):
    """The command's output, or an EmulatorError with what it complained about."""
    done = subprocess.run(command, check=False, input=text, capture_output=True, text=True)
    if done.returncode:
        raise EmulatorError(f"{command[0]} failed:\n{done.stderr[-6000:]}")
    return done.stdout


def build(target, command, text=None):
    """Run a compiler that writes `target`; aside first, so that nobody loads half a file."""
    if not target.exists():
        aside = target.with_name(f"{target.name}.{os.getpid()}")
        run([*command, "-o", str(aside)], text)
        os.replace(aside, target)
    return target


def _contents(folder, *patterns):
    files = sorted(path for pattern in patterns for path in Path(folder).rglob(pattern))
    return digest(*(f"{path}\n{path.read_text()}" for path in files))


@cache
def runtime():
    """The library that schedules fibers and checks memory, shared by all kernels."""
    version = run([COMPILER, "--version"])
    key = digest(version, _contents(HERE / "runtime", "*.h", "*.cpp"))
    sources = sorted(str(path) for path in (HERE / "runtime").glob("*.cpp"))
    flags = ["-std=c++17", "-O2", "-fPIC", "-shared", "-w"]
    path = build(cache_directory() / f"runtime-{key}.so", [COMPILER, *flags, *sources])
    library = ctypes.CDLL(str(path), mode=ctypes.RTLD_GLOBAL)
    library.path = path
    return library


@cache
def _shim_key():
    flags = (*KERNEL_FLAGS, *WATCHED, *PREDEFINED, *LIBRARIES)
    return digest(runtime().path.name, _contents(HERE, "shim/*.h", "nvrtc/*.h"), *flags)


@cache
def _shim(watched):
    """The shim, parsed once (a precompiled header): most of a small kernel's compile time."""
    header = HERE / "shim" / "cuda_shim.h"
    folder = cache_directory() / f"shim-{digest(_shim_key(), watched)}"
    folder.mkdir(exist_ok=True)
    flags = [*KERNEL_FLAGS, *(WATCHED if watched else ())]
    build(folder / "cuda_shim.h.gch", [COMPILER, *flags, "-x", "c++-header", str(header)])
    return ["-include", str(folder / "cuda_shim.h")]


def expand(source, options):
    """The source with its `#include`s, and CUDA's dynamic shared memory in words of C++.

    CUDA's keywords stay as they are; lines keep their file names and numbers.
    """
    wanted = [option for option in options if option.startswith(("-D", "-I", "-U"))]
    command = [COMPILER, "-E", "-nostdinc", "-x", "c++", "-w", *PREDEFINED, *wanted]
    text = run([*command, f"-I{HERE / 'nvrtc'}", "-"], f'#line 1 "kernel.cu"\n{source}')
    return _EXTERN_SHARED.sub(
        r"\1 *\2 = reinterpret_cast<\1 *>(emu_dynamic_shared(EmuSite::here()));", text
    )


def library_path(source, options, watched):
    """Where the library of this source is or will be; depends on all it may include."""
    folders = [option[2:] for option in options if option.startswith("-I")]
    headers = [_contents(folder, "*.cuh", "*.h") for folder in folders]
    key = digest(source, *options, *headers, watched, _shim_key())
    return cache_directory() / f"kernel-{key}.so"


def compile_kernels(target, text, watched):
    """Compile expanded CUDA source `text` into the shared library `target`."""
    flags = [*KERNEL_FLAGS, *(WATCHED if watched else ()), *_shim(watched)]
    end = ["-x", "c++", "-", "-x", "none", str(runtime().path), *LIBRARIES]
    return build(target, [COMPILER, "-shared", *flags, *end], text)


def source_line(library, address):
    """'file:line' of a code address, skipping the shim's own lines."""
    answer = run(["addr2line", "-i", "-e", str(library), address]).splitlines()
    shim = str(HERE / "shim")
    theirs = [line for line in answer if not line.startswith(shim)] or answer
    line = os.path.basename(theirs[0].split(" (")[0])
    return line.replace("<stdin>", "kernel.cu")  # what g++ calls its first line
