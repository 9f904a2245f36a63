"""``python -m gpunn info`` and ``python -m gpunn check``."""

from __future__ import annotations

import argparse
import platform
import sys

import numpy as np

from gpunn.backend import cublaslt, devices
from gpunn.backend.routes import choices_of
from gpunn.version import __version__


def _table(title: str, rows: dict[str, str]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title, title_justify="left", show_header=False)
    for key, value in rows.items():
        table.add_row(key, value)
    Console().print(table)


def info() -> int:
    """Print versions, devices, memory and the kernel cache."""
    _table(
        "gpunn",
        {
            "gpunn": __version__,
            "Python": f"{platform.python_version()} on {platform.platform()}",
            "NumPy": np.__version__,
            "CUDA sources": str(len(_sources())),
        },
    )
    _table("cpu", devices.cpu.describe())
    problem = devices.gpu_problem()
    if problem is not None:
        print(f"No GPU: {problem}.")
        return 0
    for ordinal in range(devices.gpu().xp.cuda.runtime.getDeviceCount()):
        rows = devices.gpu(ordinal).describe()
        choices = choices_of(ordinal)
        rows["routes"] = f"{len(choices)} choices in {choices.path}"
        rows["cublasLt"] = "found" if cublaslt.library() else "missing: CuPy's matmul is used"
        _table(f"gpu:{ordinal}", rows)
    return 0


def _sources() -> list[str]:
    from gpunn.backend.cuda import source_folder

    return sorted(p.name for p in source_folder().iterdir() if p.suffix in (".cu", ".cuh"))


def check() -> int:
    """Run every kernel on the GPU against its reference, and print the largest errors."""
    problem = devices.gpu_problem()
    if problem is not None:
        print(f"There is nothing to check: {problem}.")
        return 1
    from rich.console import Console
    from rich.table import Table

    from gpunn.check import run

    table = Table(title=f"Kernels on {devices.gpu().describe()['name']}", title_justify="left")
    for column in ("kernel", "dtype", "cases", "largest error", "result"):
        table.add_column(column)
    failed = 0
    for row in run():
        failed += not row.ok
        result = "ok" if row.ok else f"[red]{row.message}[/red]"
        table.add_row(row.kernel, row.dtype, str(row.cases), f"{row.max_error:.1e}", result)
    Console().print(table)
    print("All kernels agree." if not failed else f"{failed} kernels disagree with NumPy.")
    return int(failed > 0)


def main(arguments: list[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m gpunn", description=__doc__)
    parser.add_argument("command", choices=("info", "check"))
    command = parser.parse_args(arguments).command
    return info() if command == "info" else check()


if __name__ == "__main__":
    sys.exit(main())
