"""Logs of the epochs for others: a CSV file, a server."""

from __future__ import annotations

import csv
import json
import os
import warnings
from collections.abc import Iterable, Mapping
from typing import IO, Any

import numpy as np

from gpunn.callbacks.callback import Callback, Logs


class CSVLogger(Callback):
    """One line an epoch: its number and the logs, in the order of their names.

    Columns for validation are there from the start; "NA" stands where there is no value.
    `append`: go on with the file that is there, else it is overwritten.

    >>> model.fit(x, y, callbacks=[gpunn.callbacks.CSVLogger("training.csv")])
    """

    def __init__(
        self, filename: str | os.PathLike[str], separator: str = ",", append: bool = False
    ):
        super().__init__()
        self.filename = os.fspath(filename)
        self.sep = separator
        self.append = append
        self.csv_file: IO[str] | None = None
        self.writer: Any = None
        self.keys: list[str] | None = None

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self.close()
        self.keys = self.writer = None
        self.csv_file = open(  # noqa: SIM115  (open while training lasts)
            self.filename, "a" if self.append else "w", newline="", encoding="utf-8"
        )

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        logs = logs or {}
        assert self.csv_file is not None, "on_train_begin() opens the file"
        if self.writer is None:
            self.keys = sorted(logs)
            if not any(key.startswith("val_") for key in self.keys):
                self.keys += [f"val_{key}" for key in self.keys]
            self.writer = csv.DictWriter(self.csv_file, ["epoch", *self.keys], delimiter=self.sep)
            if self.csv_file.tell() == 0:
                self.writer.writeheader()
        assert self.keys is not None
        values = {key: _cell(logs.get(key, "NA")) for key in self.keys}
        self.writer.writerow({"epoch": epoch, **values})
        self.csv_file.flush()

    def on_train_end(self, logs: Logs | None = None) -> None:
        self.close()

    def close(self) -> None:
        """Close the file, also after an error or Ctrl-C."""
        if self.csv_file is not None:
            self.csv_file.close()
        self.writer = None


def _cell(value: Any) -> Any:
    """A number as it is, several as a quoted list."""
    single = isinstance(value, str) or not isinstance(value, Iterable)
    if single or getattr(value, "ndim", 1) == 0:
        return value
    return f'"[{", ".join(map(str, value))}]"'


class RemoteMonitor(Callback):
    """Sends the logs of each epoch to a server: POST `root + path` with ``{"epoch": 0, ...}``.

    The JSON text is the body (`send_as_json`), or the value of `field` in a form. A server that
    cannot be reached gives a warning.

    >>> gpunn.callbacks.RemoteMonitor(root="http://localhost:9000", send_as_json=True)
    """

    def __init__(
        self,
        root: str = "http://localhost:9000",
        path: str = "/publish/epoch/end/",
        field: str = "data",
        headers: Mapping[str, str] | None = None,
        send_as_json: bool = False,
    ):
        super().__init__()
        self.root = root
        self.path = path
        self.field = field
        self.headers = headers
        self.send_as_json = send_as_json

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        from urllib.parse import urlencode
        from urllib.request import Request, urlopen

        sent = {"epoch": epoch} | {
            key: value.item() if isinstance(value, (np.ndarray, np.generic)) else value
            for key, value in (logs or {}).items()
        }
        text, kind = json.dumps(sent), "application/json"
        if not self.send_as_json:
            text, kind = urlencode({self.field: text}), "application/x-www-form-urlencoded"
        headers = {"Content-Type": kind, **(self.headers or {})}
        request = Request(self.root + self.path, text.encode(), headers, method="POST")
        try:
            urlopen(request, timeout=60).close()
        except OSError as error:  # all that urllib raises of the network
            warnings.warn(
                f"RemoteMonitor could not send epoch {epoch} to {self.root}: {error}.",
                stacklevel=2,
            )
