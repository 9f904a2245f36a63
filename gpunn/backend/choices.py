"""Choices of routes that outlive the process: a small JSON file for each kind of device.

The file is only a cache. What is damaged, of another version or not what it should be is ignored,
and measured again; a folder that cannot be written is no error.
"""

from __future__ import annotations

import json
import os
import re
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

from gpunn.version import __version__

_LARGEST = 8 << 20  # bytes of a file that is read
_LONGEST = 2000  # characters of a text in it
_MOST = 2000  # choices of a kernel that are kept


def cache_folder() -> Path:
    """``GPUNN_CACHE_DIR``, else the folder of this platform for what can be made again."""
    given = os.environ.get("GPUNN_CACHE_DIR")
    if given:
        return Path(given)
    home = Path(os.path.expanduser("~"))
    if not home.is_absolute():  # nobody's home
        home = Path(tempfile.gettempdir())
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local") / "gpunn"
    if sys.platform == "darwin":
        return home / "Library" / "Caches" / "gpunn"
    return Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache") / "gpunn"


def _texts(value: Any) -> dict[str, str]:
    """The entries of a dictionary that are short texts."""
    if not isinstance(value, dict):
        return {}
    return {
        key: text
        for key, text in value.items()
        if isinstance(text, str) and len(key) <= _LONGEST and len(text) <= _LONGEST
    }


class Choices:
    """{kernel: {inputs: route}} of one device, for the routes that exist now.

    `device`: its name and compute capability. `software`: versions on which times depend.
    """

    def __init__(self, device: str, software: str):
        self.device, self.software = device, f"gpunn {__version__}, {software}"
        name = re.sub(r"\W+", "-", device).strip("-").lower()
        self.path = cache_folder() / f"routes-{name}.json"
        self._found = self._read()

    def __len__(self) -> int:
        return sum(len(choices) for _, choices in self._found.values())

    def get(self, kernel: str, stamp: str, inputs: str) -> str | None:
        """The name of a route, of which nobody knows yet whether it exists."""
        routes, choices = self._found.get(kernel, ("", {}))
        return choices.get(inputs) if routes == stamp else None

    def put(self, kernel: str, stamp: str, inputs: str, route: str) -> None:
        """Remember a choice, in the file too if that is possible."""
        if self._found.get(kernel, ("", {}))[0] != stamp:
            self._found[kernel] = stamp, {}
        for name, (routes, choices) in self._read().items():  # what other processes have written
            mine = self._found.setdefault(name, (routes, {}))
            if mine[0] == routes:
                mine[1].update(choices | mine[1])
        choices = self._found[kernel][1]
        choices[inputs] = route
        for oldest in list(choices)[:-_MOST]:
            del choices[oldest]
        self._write()

    def _read(self) -> dict[str, tuple[str, dict[str, str]]]:
        try:
            if not self.path.is_file() or self.path.stat().st_size > _LARGEST:
                return {}
            content = json.loads(self.path.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):
            return {}
        if not isinstance(content, dict) or not isinstance(content.get("kernels"), dict):
            return {}
        if (content.get("device"), content.get("software")) != (self.device, self.software):
            return {}
        return {
            name: (part["routes"], _texts(part.get("choices")))
            for name, part in content["kernels"].items()
            if isinstance(part, dict) and isinstance(part.get("routes"), str)
        }

    def _write(self) -> None:
        """Aside, to the disk, then in place of the old one: no reader sees half a file."""
        kernels = {
            name: {"routes": routes, "choices": choices}
            for name, (routes, choices) in sorted(self._found.items())
        }
        content = {"device": self.device, "software": self.software, "kernels": kernels}
        aside = None
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            handle, aside = tempfile.mkstemp(".tmp", self.path.stem, self.path.parent)
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                json.dump(content, file, indent=1)
                file.flush()
                os.fsync(file.fileno())
            os.replace(aside, self.path)
        except OSError:
            if aside is not None:
                with suppress(OSError):
                    os.unlink(aside)
