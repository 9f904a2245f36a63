"""BackupAndRestore: go on where a run was interrupted."""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np

from gpunn.autodiff.dtypes import as_dtype
from gpunn.callbacks.callback import Callback, Logs
from gpunn.callbacks.checkpoint import check_frequency
from gpunn.utils.files import replacing

_FILE = "training_state.npz"


class BackupAndRestore(Callback):
    """Keeps the state of training in a file of `backup_dir`; a `fit` that finds one goes on there.

    The state: all variables of the model and the optimizer, and the epoch. `save_freq`: "epoch", or
    a number of batches (the epoch is begun anew then). `double_checkpoint`: keep the state before
    the last one, too, for when the last is damaged. `delete_checkpoint`: remove the file once
    training is through. A file is complete or not there: it is written aside, then renamed.

    >>> model.fit(x, y, epochs=100, callbacks=[gpunn.callbacks.BackupAndRestore("backup")])
    """

    reads_metrics_itself = True  # it asks for none

    def __init__(
        self,
        backup_dir: str | os.PathLike[str],
        save_freq: Any = "epoch",
        double_checkpoint: bool = False,
        delete_checkpoint: bool = True,
    ):
        super().__init__()
        if not backup_dir:
            raise ValueError("BackupAndRestore: backup_dir is empty. Give the name of a directory.")
        self.backup_dir = os.fspath(backup_dir)
        self.save_freq = save_freq
        self.double_checkpoint = double_checkpoint
        self.delete_checkpoint = delete_checkpoint
        self._batches = check_frequency("BackupAndRestore", save_freq)
        self._path = os.path.join(self.backup_dir, _FILE)
        self._previous = f"{self._path}.bkp"
        self._current_epoch = 0

    # --- turns of training ---

    def on_train_begin(self, logs: Logs | None = None) -> None:
        if not self.model.built:
            raise ValueError(
                f"BackupAndRestore: model '{self.model.name}' is not built, so it has no weights "
                f"to restore. Start it with an Input, or call it on a batch before fit()."
            )
        for path in filter(os.path.exists, (self._path, self._previous)):
            try:
                state = read_state(path)
            except OSError:
                if path == self._previous or not os.path.exists(self._previous):
                    raise
                continue
            self._restore(state, path)
            return

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self._current_epoch = epoch

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        if self._batches is not None and self._batches.due(batch):
            self._save(self._current_epoch)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        if self._batches is None:
            self._save(epoch + 1)

    def on_train_end(self, logs: Logs | None = None) -> None:
        if self.delete_checkpoint:
            for path in filter(os.path.exists, (self._path, self._previous)):
                os.remove(path)
            if os.path.isdir(self.backup_dir) and not os.listdir(self.backup_dir):
                os.rmdir(self.backup_dir)

    # --- the state ---

    def _variables(self) -> list[Any]:
        model = self.model
        if not model.optimizer.built:
            model.optimizer.build(model.trainable_variables)
        return [*model.variables, *model.optimizer.variables]

    def _save(self, epoch: int) -> None:
        os.makedirs(self.backup_dir, exist_ok=True)
        arrays = [(variable.path, variable.numpy()) for variable in self._variables()]
        if self.double_checkpoint and os.path.exists(self._path):
            os.replace(self._path, self._previous)
        write_state(self._path, epoch, arrays)

    def _restore(self, state: Mapping[str, Any], path: str) -> None:
        variables = self._variables()
        found = [array.shape for array in state["arrays"]]
        if found != [variable.shape for variable in variables]:
            raise ValueError(
                f"BackupAndRestore: {path} is of another model or optimizer: it holds "
                f"{len(found)} arrays, {len(variables)} of other shapes are needed. Remove it, or "
                f"give another backup_dir."
            )
        for variable, array in zip(variables, state["arrays"], strict=True):
            variable.assign(array)
        self.model._initial_epoch = state["epoch"]


def write_state(path: str, epoch: int, arrays: list[tuple[str, np.ndarray]]) -> None:
    """Write the epoch and named arrays; `path` is a complete file at any time."""
    names = [{"path": name, "dtype": array.dtype.name} for name, array in arrays]
    text = json.dumps({"epoch": epoch, "variables": names})
    with replacing(path) as file:
        numbered: dict[str, Any] = {str(i): array for i, (_, array) in enumerate(arrays)}
        np.savez(file, state=np.frombuffer(text.encode(), np.uint8), **numbered)


def read_state(path: str) -> dict[str, Any]:
    """The epoch and the arrays; a damaged file raises `OSError`."""
    try:
        with np.load(path, allow_pickle=False) as file:
            state = json.loads(file["state"].tobytes())
            arrays = [file[str(i)] for i in range(len(state["variables"]))]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise OSError(f"BackupAndRestore: {path} is damaged ({error}). Remove it.") from error
    dtypes = [as_dtype(variable["dtype"]) for variable in state["variables"]]
    # NumPy's files do not know bfloat16: its bytes come back as they are.
    restored = [a if a.dtype == d else a.view(d) for a, d in zip(arrays, dtypes, strict=True)]
    return {"epoch": state["epoch"], "arrays": restored}
