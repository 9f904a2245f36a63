"""What a framework costs before it computes: seconds to import, megabytes on the disk."""

from __future__ import annotations

import importlib.util
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

#: gpunn loads its parts at first use: `gpunn.models` is what the first model costs.
PACKAGES = ("numpy", "gpunn", "gpunn.models", "torch", "jax", "keras")
IMPORT_GOALS = {"gpunn": 2.0}  # times NumPy's
_IMPORT = "import time; t = time.perf_counter(); import {}; print(time.perf_counter() - t)"


def import_times(rounds: int, tell: Callable[[str], None]) -> dict[str, Any]:
    """Import time in fresh processes, in turns; Keras with its JAX backend."""
    seconds: dict[str, list[float]] = {p: [] for p in PACKAGES if importlib.util.find_spec(p)}
    # pip compiles what it installs; a checkout may be told not to, and would be compiled each time
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    for number in range(rounds + 1):
        tell(f"import: round {number + 1} of {rounds + 1}")
        for package, found in seconds.items():
            code = [sys.executable, "-c", _IMPORT.format(package)]
            done = subprocess.run(code, capture_output=True, text=True, check=True, env=environment)
            found.append(float(done.stdout.split()[-1]))
    measured = {package: found[1:] for package, found in seconds.items()}  # the first fills caches
    base = measured["numpy"]
    return {
        package: {
            "seconds_median": statistics.median(found),
            "seconds_min": min(found),
            "seconds": found,
            "ratio_to_numpy": statistics.median([a / b for a, b in zip(found, base, strict=True)]),
            "goal": IMPORT_GOALS.get(package),
        }
        for package, found in measured.items()
    }


#: What a user installs to train on a CPU; Keras needs a backend.
INSTALLATIONS = {
    "gpunn": ("gpunn",),
    "torch": ("torch",),
    "jax": ("jax",),
    "keras (jax)": ("keras", "jax"),
}


def sizes() -> dict[str, Any]:
    """Megabytes on the disk, with all required dependencies; without compiled .pyc files."""
    found = {}
    for name, roots in INSTALLATIONS.items():
        try:
            parts = _closure(roots)
        except metadata.PackageNotFoundError:
            continue
        found[name] = {
            "megabytes": sum(parts.values()),
            "own_megabytes": sum(parts[root] for root in roots),
            "distributions": len(parts),
            "parts": parts,
        }
    return found


def _closure(roots: tuple[str, ...]) -> dict[str, float]:
    """Megabytes of these distributions and of all they require, by name."""
    from packaging.requirements import Requirement

    found: dict[str, float] = {}
    waiting = [(root, frozenset[str]()) for root in roots]
    seen = set()
    while waiting:
        name, extras = waiting.pop()
        if (name, extras) in seen:
            continue
        seen.add((name, extras))
        distribution = metadata.distribution(name)
        found[name] = _megabytes(distribution)
        for line in distribution.requires or ():
            needed = Requirement(line)
            marker = needed.marker
            if marker is None or any(marker.evaluate({"extra": e}) for e in ("", *extras)):
                waiting.append((needed.name.lower(), frozenset(needed.extras)))
    return found


def _megabytes(distribution: metadata.Distribution) -> float:
    files = [Path(str(file.locate())) for file in distribution.files or ()]
    origin = json.loads(distribution.read_text("direct_url.json") or "{}")
    if origin.get("dir_info", {}).get("editable"):  # only a pointer is installed
        spec = importlib.util.find_spec(distribution.name)
        for folder in (spec and spec.submodule_search_locations) or ():
            files += Path(folder).rglob("*")
            files += (Path(folder).parent / "kernels").rglob("*")
    real = {f for f in files if f.suffix != ".pyc" and f.is_file()}
    return sum(f.stat().st_size for f in real) / 1e6
