"""TensorBoard: curves of the logs, histograms of the weights, the model's layers."""

from __future__ import annotations

import json
import os
import time
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np

from gpunn import config
from gpunn.callbacks.callback import Callback, Logs
from gpunn.callbacks.event_file import EventFile
from gpunn.objects import serialize


class TensorBoard(Callback):
    """Writes event files below `log_dir`, "train" and "validation", for ``tensorboard --logdir``.

    Each epoch: `epoch_<metric>`, and the learning rate. Each evaluation, also outside `fit`:
    `evaluation_<metric>_vs_iterations`. `update_freq` "batch" or a number of batches:
    `batch_<metric>` too. `histogram_freq`: epochs between histograms of the weights, with
    `write_images` as images, too, scaled to the range of their values. `embeddings_freq`: epochs
    between the tables of embeddings for the projector; `embeddings_metadata`: a file of labels, or
    one for each layer's name. `profile_batch` other than 0 is not there.

    >>> model.fit(x, y, callbacks=[gpunn.callbacks.TensorBoard("logs/run1")])
    """

    reads_metrics_itself = True  # only when it writes, not after each batch

    def __init__(
        self,
        log_dir: str | os.PathLike[str] = "logs",
        histogram_freq: int = 0,
        write_graph: bool = True,
        write_images: bool = False,
        write_steps_per_second: bool = False,
        update_freq: Any = "epoch",
        profile_batch: int = 0,
        embeddings_freq: int = 0,
        embeddings_metadata: str | Mapping[str, str] | None = None,
    ):
        super().__init__()
        self.log_dir = os.fspath(log_dir)
        self.histogram_freq = histogram_freq
        self.write_graph = write_graph
        self.write_images = write_images
        self.write_steps_per_second = write_steps_per_second
        self.update_freq = 1 if update_freq == "batch" else update_freq
        self.embeddings_freq = embeddings_freq
        self.embeddings_metadata = embeddings_metadata
        if self.update_freq != "epoch" and (
            not isinstance(self.update_freq, int) or self.update_freq < 1
        ):
            raise ValueError(
                f"TensorBoard: update_freq must be 'batch', 'epoch' or a number of batches, "
                f"received {update_freq!r}."
            )
        if profile_batch:
            raise NotImplementedError(
                f"TensorBoard: profile_batch must be 0, received {profile_batch!r}. There is no "
                f"profiler here: model.step.describe(times=True) times each kernel."
            )
        self._files: dict[str, EventFile] = {}
        self._train_batch = 0

    def _file(self, part: str) -> EventFile:
        """The event file of "train" or "validation", made at first use."""
        if part not in self._files:
            self._files[part] = EventFile(os.path.join(self.log_dir, part))
        return self._files[part]

    def close(self) -> None:
        """Close the files, also after an error or Ctrl-C."""
        for file in self._files.values():
            file.close()
        self._files = {}

    # --- turns of training ---

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._train_batch = 0
        if self.write_graph:
            self._write_graph()
        if self.embeddings_freq:
            self._describe_embeddings()

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        self._train_batch += 1
        self._batch_began = time.perf_counter()

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        if self.update_freq == "epoch" or self._train_batch % self.update_freq:
            return
        file = self._file("train")
        if self.write_steps_per_second:
            rate = 1 / (time.perf_counter() - self._batch_began)
            file.scalar("batch_steps_per_second", rate, self._train_batch)
        for name, value in (logs or self.model.get_metrics_result()).items():
            file.scalar(f"batch_{name}", value, self._train_batch)

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self._epoch_began = time.perf_counter(), self._train_batch

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        values = {**(logs or {}), "learning_rate": float(self.model.optimizer.learning_rate)}
        if self.write_steps_per_second:
            began, batches = self._epoch_began
            rate = (self._train_batch - batches) / (time.perf_counter() - began)
            values["steps_per_second"] = rate
        for name, value in values.items():
            part = "validation" if name.startswith("val_") else "train"
            self._file(part).scalar(f"epoch_{name.removeprefix('val_')}", value, epoch)
        if self.histogram_freq and epoch % self.histogram_freq == 0:
            self._write_weights(epoch)
        if self.embeddings_freq and epoch % self.embeddings_freq == 0:
            self._write_embeddings()
        for file in self._files.values():
            file.flush()

    def on_test_end(self, logs: Logs | None = None) -> None:
        if self.model.optimizer is not None:
            step = int(self.model.optimizer.iterations)
            for name, value in (logs or {}).items():
                self._file("validation").scalar(f"evaluation_{name}_vs_iterations", value, step)

    def on_train_end(self, logs: Logs | None = None) -> None:
        self.close()

    # --- the model ---

    def _write_graph(self) -> None:
        """The layers, for the tab of conceptual graphs; of models that a config describes."""
        if type(self.model).__name__ not in ("Sequential", "Functional"):
            return
        try:
            text = json.dumps(serialize(self.model))
        except (TypeError, ValueError, NotImplementedError) as error:
            warnings.warn(f"TensorBoard: the model has no graph to show: {error}", stacklevel=2)
            return
        self._file("train").text("keras", text, 0, plugin="graph_keras_model", content=b"1")

    def _write_weights(self, epoch: int) -> None:
        for layer in self.model.layers:
            for weight in layer.weights:
                values, file = weight.numpy(), self._file("train")
                file.histogram(f"{weight.path}/histogram", values, epoch)
                if self.write_images and (pixels := _pixels(values)) is not None:
                    file.images(f"{weight.path}/image", pixels, epoch)

    # --- embeddings ---

    def _embeddings(self) -> list[Any]:
        return [layer for layer in self.model.layers if type(layer).__name__ == "Embedding"]

    def _describe_embeddings(self) -> None:
        """Tell the projector which tables there are, and where their labels stand."""
        metadata = self.embeddings_metadata or {}
        names = [layer.name for layer in self._embeddings()]
        if not isinstance(metadata, str) and (unknown := set(metadata) - set(names)):
            raise ValueError(
                f"TensorBoard: embeddings_metadata names {sorted(unknown)}, which are no Embedding "
                f"layers of the model. It has {names}."
            )
        entries = []
        for name in names:
            labels = metadata if isinstance(metadata, str) else metadata.get(name)
            lines = [f'  tensor_name: "{name}"', f'  tensor_path: "{name}.tsv"']
            lines += [f'  metadata_path: "{labels}"'] if labels else []
            entries.append("\n".join(["embeddings {", *lines, "}\n"]))
        os.makedirs(self.log_dir, exist_ok=True)
        path = os.path.join(self.log_dir, "projector_config.pbtxt")
        with open(path, "w", encoding="utf-8") as file:
            file.write("".join(entries))

    def _write_embeddings(self) -> None:
        for layer in self._embeddings():
            path = os.path.join(self.log_dir, f"{layer.name}.tsv")
            np.savetxt(path, layer.embeddings.numpy(), "%.6g", "\t")


def _pixels(weight: np.ndarray) -> np.ndarray | None:
    """At most three images (n, height, width, channels) of a weight; None of what is no image."""
    w = np.squeeze(weight).astype(np.float64)
    if w.ndim == 2 and w.shape[0] > w.shape[1]:
        w = w.T
    if w.ndim == 3 and config.image_data_format() == "channels_last":
        w = np.moveaxis(w, -1, 0)  # one image for each filter
    if w.ndim in (1, 2):
        w = w.reshape(1, -1, w.shape[-1], 1)
    elif w.ndim == 3:
        w = w[..., None]
    if w.ndim != 4 or w.shape[-1] not in (1, 3, 4):
        return None
    low, high = w.min(), w.max()
    return np.round(255 * (w[:3] - low) / (high - low or 1.0)).astype(np.uint8)
