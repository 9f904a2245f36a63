"""How the tests run the examples: as a user does, in a process of their own."""

import os
import struct
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
ENVIRONMENT = {**os.environ, "GPUNN_BACKEND": "numpy", "OPENBLAS_NUM_THREADS": "1"}


def run(*arguments):
    """Python with these arguments."""
    command = [sys.executable, *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True)


def png_size(path):
    """Width and height, from the file's header."""
    head = path.read_bytes()[:24]
    assert head[:8] == b"\x89PNG\r\n\x1a\n"
    return struct.unpack(">II", head[16:24])
