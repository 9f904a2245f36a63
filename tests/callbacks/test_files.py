"""CSVLogger, RemoteMonitor, BackupAndRestore, and TensorBoard's files, read by other programs."""

import csv
import http.server
import json
import os
import struct
import threading
import warnings

os.environ.setdefault("KERAS_BACKEND", "jax")

import numpy as np
import pytest

import gpunn
from gpunn.callbacks.event_file import EventFile

keras = pytest.importorskip("keras")

X = np.random.default_rng(0).normal(size=(12, 2)).astype("float32")
Y = X @ np.array([[1.0], [-2.0]], "float32")


def model(rate=0.05):
    gpunn.utils.set_random_seed(3)
    m = gpunn.Sequential([gpunn.Input((2,)), gpunn.layers.Dense(1, name="out")])
    m.compile(gpunn.optimizers.Adam(rate), "mse", metrics=["mae"])
    return m


# --- CSVLogger ---

LOGS = [
    {"loss": 1.5, "acc": np.float32(0.25)},
    {"loss": 1.25, "acc": 0.5, "val_loss": 2.0},
    {"loss": np.array(1.0), "acc": [1, 2.5], "other": 3},
]


@pytest.mark.parametrize("separator", [",", ";"])
@pytest.mark.parametrize("append", [False, True])
@pytest.mark.parametrize("first", [0, 1])
def test_csv_files_are_those_of_keras(tmp_path, separator, append, first):
    texts = []
    for k in (gpunn, keras):
        path = tmp_path / f"{k.__name__}.csv"
        for _ in range(2):
            logger = k.callbacks.CSVLogger(path, separator, append)
            for _ in range(2):
                logger.on_train_begin()
                for epoch, logs in enumerate(LOGS[first:]):
                    logger.on_epoch_end(epoch, dict(logs))
                logger.on_train_end()
        texts.append(path.read_bytes())
    assert texts[0] == texts[1]
    assert texts[0].count(b"\n") == (3 - first) * (4 if append else 1) + 1


def test_csv_of_a_fit(tmp_path):
    logger = gpunn.callbacks.CSVLogger(tmp_path / "log.csv")
    history = model().fit(X, Y, epochs=3, verbose=0, callbacks=[logger]).history
    rows = list(csv.DictReader((tmp_path / "log.csv").open()))
    assert [float(row["loss"]) for row in rows] == history["loss"]
    assert [row["epoch"] for row in rows] == ["0", "1", "2"]
    assert rows[0]["val_mae"] == "NA"
    assert logger.csv_file.closed


def test_csv_is_closed_after_an_error(tmp_path):
    logger = gpunn.callbacks.CSVLogger(tmp_path / "log.csv")

    def fail(epoch, logs):
        raise RuntimeError("mine")

    failing = gpunn.callbacks.LambdaCallback(on_epoch_end=fail)
    with pytest.raises(RuntimeError, match="mine"):
        model().fit(X, Y, verbose=0, callbacks=[logger, failing])
    assert logger.csv_file.closed


# --- RemoteMonitor ---


@pytest.fixture
def server():
    """A local web server that keeps what it is sent."""
    received = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            received.append((self.path, self.headers, body))
            self.send_response(500 if "broken" in self.path else 200)
            self.end_headers()

        def log_message(self, *_):
            pass

    found = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=found.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{found.server_port}", received
    found.shutdown()
    thread.join()
    found.server_close()


def test_remote_monitor(server):
    root, received = server
    monitors = [
        gpunn.callbacks.RemoteMonitor(root),
        gpunn.callbacks.RemoteMonitor(
            root, "/there", send_as_json=True, headers={"X-Token": "abc"}
        ),
        gpunn.callbacks.RemoteMonitor(root, field="log"),
    ]
    for monitor in monitors:
        monitor.on_epoch_end(2, {"loss": np.float32(0.5), "acc": np.array(1.0), "n": 3})
    sent = {"epoch": 2, "loss": 0.5, "acc": 1.0, "n": 3}
    from urllib.parse import parse_qs

    (path, headers, body), (other, token, text), (_, _, log) = received
    assert path == "/publish/epoch/end/" and other == "/there"
    assert headers["Content-Type"] == "application/x-www-form-urlencoded"
    assert json.loads(parse_qs(body)["data"][0]) == sent == json.loads(text)
    assert json.loads(parse_qs(log)["log"][0]) == sent
    assert token["Content-Type"] == "application/json" and token["X-Token"] == "abc"


def test_remote_monitor_that_cannot_be_reached(server):
    root, _ = server
    with pytest.warns(UserWarning, match=r"could not send epoch 0 to http.*500"):
        gpunn.callbacks.RemoteMonitor(root, path="/broken").on_epoch_end(0, {})
    with pytest.warns(UserWarning, match="could not send epoch 1 to http://127.0.0.1:1"):
        gpunn.callbacks.RemoteMonitor("http://127.0.0.1:1").on_epoch_end(1, {})


# --- BackupAndRestore ---


class Stop(gpunn.callbacks.Callback):
    """Interrupts at an epoch, or after a number of batches."""

    def __init__(self, epoch=None, batches=None):
        super().__init__()
        self.epoch, self.batches = epoch, batches

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == self.epoch:
            raise KeyboardInterrupt

    def on_train_batch_end(self, batch, logs=None):
        if self.batches is not None:
            self.batches -= 1
            if self.batches == 0:
                raise KeyboardInterrupt


def fit(m, *callbacks, epochs=6):
    return m.fit(X, Y, epochs=epochs, batch_size=4, shuffle=False, verbose=0, callbacks=callbacks)


def test_a_run_goes_on_as_if_it_had_not_been_interrupted(tmp_path):
    whole = model()
    expected = fit(whole).history
    backup = gpunn.callbacks.BackupAndRestore(tmp_path / "b")
    with pytest.raises(KeyboardInterrupt):
        fit(model(), backup, Stop(epoch=4))
    assert os.listdir(tmp_path / "b") == ["training_state.npz"]
    resumed = model()
    history = fit(resumed, gpunn.callbacks.BackupAndRestore(tmp_path / "b"))
    assert history.epoch == [4, 5]
    np.testing.assert_array_equal(history.history["loss"], expected["loss"][4:])
    for a, b in zip(whole.get_weights(), resumed.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    for a, b in zip(whole.optimizer.variables, resumed.optimizer.variables, strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())
    assert not (tmp_path / "b").exists()


def test_backup_after_batches_begins_the_epoch_anew(tmp_path):
    options = {"save_freq": 2, "delete_checkpoint": False}
    with pytest.raises(KeyboardInterrupt):
        fit(model(), gpunn.callbacks.BackupAndRestore(tmp_path, **options), Stop(batches=8))
    resumed = model()
    assert fit(resumed, gpunn.callbacks.BackupAndRestore(tmp_path, **options)).epoch == [2, 3, 4, 5]
    assert int(resumed.optimizer.iterations) == 8 + 4 * 3
    assert (tmp_path / "training_state.npz").exists()


def test_only_its_own_files_are_deleted(tmp_path):
    (tmp_path / "mine.txt").write_text("precious")
    fit(model(), gpunn.callbacks.BackupAndRestore(tmp_path, double_checkpoint=True))
    assert os.listdir(tmp_path) == ["mine.txt"]


def test_a_damaged_file_and_the_one_before_it(tmp_path):
    backup = gpunn.callbacks.BackupAndRestore(tmp_path, double_checkpoint=True)
    with pytest.raises(KeyboardInterrupt):
        fit(model(), backup, Stop(epoch=3))
    latest = tmp_path / "training_state.npz"
    content = bytearray(latest.read_bytes())
    content[len(content) // 2 :] = b""
    latest.write_bytes(content)
    history = fit(model(), gpunn.callbacks.BackupAndRestore(tmp_path, delete_checkpoint=False))
    assert history.epoch == [2, 3, 4, 5]  # from the state before the last
    latest.write_bytes(content)
    (tmp_path / "training_state.npz.bkp").unlink(missing_ok=True)
    with pytest.raises(OSError, match="is damaged"):
        fit(model(), gpunn.callbacks.BackupAndRestore(tmp_path))


def test_a_failed_write_leaves_the_last_state(tmp_path, monkeypatch):
    m, backup = model(), gpunn.callbacks.BackupAndRestore(tmp_path, delete_checkpoint=False)
    fit(m, backup, epochs=1)
    before = (tmp_path / "training_state.npz").read_bytes()
    monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        backup.on_epoch_end(1)
    assert (tmp_path / "training_state.npz").read_bytes() == before
    assert os.listdir(tmp_path) == ["training_state.npz"]


def test_bfloat16_survives(tmp_path):
    ml_dtypes = pytest.importorskip("ml_dtypes")
    from gpunn.callbacks.backup import read_state, write_state

    array = np.arange(6, dtype=ml_dtypes.bfloat16).reshape(2, 3)
    write_state(tmp_path / "s.npz", 7, [("a/b", array), ("c", np.float64(1.5))])
    state = read_state(tmp_path / "s.npz")
    assert state["epoch"] == 7 and state["arrays"][0].dtype == array.dtype
    np.testing.assert_array_equal(state["arrays"][0], array)
    assert state["arrays"][1].shape == () and state["arrays"][1] == 1.5


def test_backup_refusals(tmp_path):
    with pytest.raises(ValueError, match="backup_dir is empty"):
        gpunn.callbacks.BackupAndRestore("")
    for wrong in ("batch", 0, False, 1.5):
        with pytest.raises(ValueError, match="save_freq must be 'epoch' or a positive integer"):
            gpunn.callbacks.BackupAndRestore("b", save_freq=wrong)
    unbuilt = gpunn.Sequential([gpunn.layers.Dense(1)])
    unbuilt.compile("sgd", "mse")
    backup = gpunn.callbacks.BackupAndRestore(tmp_path)
    backup.set_model(unbuilt)
    with pytest.raises(ValueError, match="is not built"):
        backup.on_train_begin()
    with pytest.raises(KeyboardInterrupt):
        fit(model(), backup, Stop(epoch=1))
    other = gpunn.Sequential([gpunn.Input((2,)), gpunn.layers.Dense(2), gpunn.layers.Dense(1)])
    other.compile("adam", "mse")
    with pytest.raises(ValueError, match="is of another model or optimizer"):
        fit(other, gpunn.callbacks.BackupAndRestore(tmp_path))


# --- TensorBoard ---


def bitwise_crc32c(data):
    """CRC-32C by its definition: polynomial division, bit by bit, reflected."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 * (crc & 1))
    return crc ^ 0xFFFFFFFF


def masked(data):
    crc = bitwise_crc32c(data)
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) % 2**32


def event_class():
    """`Event` of TensorFlow's event.proto, by Google's protobuf."""
    pytest.importorskip("google.protobuf")
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    file = descriptor_pb2.FileDescriptorProto(name="event.proto", package="t", syntax="proto3")
    kinds = {"double": 1, "float": 2, "int64": 3, "int32": 5, "string": 9, "bytes": 12}
    fields = {
        "Dim": ["size int64 1"],
        "Shape": ["dim *Dim 2"],
        "Tensor": [
            "dtype int32 1", "shape Shape 2", "content bytes 4", "float_val *float 5",
            "string_val *bytes 8",
        ],
        "PluginData": ["plugin_name string 1", "content bytes 2"],
        "Metadata": ["plugin_data PluginData 1"],
        "Value": ["tag string 1", "tensor Tensor 8", "metadata Metadata 9"],
        "Summary": ["value *Value 1"],
        "Event": ["wall_time double 1", "step int64 2", "file_version string 3",
                  "summary Summary 5"],
    }  # fmt: skip
    for name, parts in fields.items():
        message = file.message_type.add(name=name)
        for part in parts:
            field, kind, number = part.split()
            label = 3 if kind[0] == "*" else 1
            kind = kind.lstrip("*")
            added = message.field.add(name=field, number=int(number), label=label)
            added.type = kinds.get(kind, 11)
            if kind not in kinds:
                added.type_name = f".t.{kind}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("t.Event"))


def read_events(path):
    """The records of one file, checked, as (tag, step, plugin, value)."""
    event_type, data, position, found = event_class(), path.read_bytes(), 0, []
    while position < len(data):
        header = data[position : position + 8]
        (length,) = struct.unpack("<Q", header)
        (header_crc,) = struct.unpack("<I", data[position + 8 : position + 12])
        body = data[position + 12 : position + 12 + length]
        (body_crc,) = struct.unpack("<I", data[position + 12 + length : position + 16 + length])
        assert (header_crc, body_crc) == (masked(header), masked(body))
        found.append(event_type.FromString(body))
        position += 16 + length
    assert found[0].file_version == "brain.Event:2" and found[0].wall_time > 1.7e9
    values = []
    for event in found[1:]:
        for value in event.summary.value:
            shape = [dim.size for dim in value.tensor.shape.dim]
            if value.tensor.dtype == 7:
                content = list(value.tensor.string_val)
            else:
                kind = {1: "<f4", 2: "<f8"}[value.tensor.dtype]
                content = np.frombuffer(value.tensor.content, kind).reshape(shape)
            values.append((value.tag, event.step, value.metadata.plugin_data.plugin_name, content))
    return values


def events_of(folder):
    (path,) = folder.iterdir()
    assert path.name.startswith("events.out.tfevents.")
    return read_events(path)


def test_known_check_sums():
    """The test vectors of RFC 3720, B.4."""
    from gpunn.callbacks.event_file import _masked_crc

    for data, crc in ((b"\0" * 32, 0x8A9136AA), (b"\xff" * 32, 0x62A8AB43),
                      (bytes(range(32)), 0x46DD794E)):  # fmt: skip
        assert bitwise_crc32c(data) == crc
        assert _masked_crc(data) == masked(data)


def test_tensorboard_scalars(tmp_path):
    board = gpunn.callbacks.TensorBoard(tmp_path, write_graph=False)
    m = model()
    history = m.fit(X, Y, epochs=3, batch_size=4, validation_data=(X, Y), verbose=0,
                    callbacks=[board]).history  # fmt: skip
    train = {(tag, step): value for tag, step, plugin, value in events_of(tmp_path / "train")}
    assert {tag for tag, _ in train} == {"epoch_loss", "epoch_mae", "epoch_learning_rate"}
    for key in ("loss", "mae"):
        found = [train[f"epoch_{key}", epoch] for epoch in range(3)]
        np.testing.assert_allclose(found, history[key], 1e-6)
    validation = events_of(tmp_path / "validation")
    assert {plugin for _, _, plugin, _ in validation} == {"scalars"}
    found = {(tag, step): value for tag, step, _, value in validation}
    for epoch in range(3):
        loss = history["val_loss"][epoch]
        np.testing.assert_allclose(found["epoch_loss", epoch], loss, 1e-6)
        step = 3 * (epoch + 1)
        np.testing.assert_allclose(found["evaluation_loss_vs_iterations", step], loss, 1e-6)


def test_tensorboard_batches(tmp_path):
    board = gpunn.callbacks.TensorBoard(
        tmp_path, write_graph=False, update_freq=2, write_steps_per_second=True
    )
    seen = []
    other = gpunn.callbacks.LambdaCallback(on_train_batch_end=lambda b, logs: seen.append(logs))
    model().fit(X, Y, epochs=2, batch_size=4, verbose=0, callbacks=[board, other])
    train = events_of(tmp_path / "train")
    batches = {step: float(value) for tag, step, _, value in train if tag == "batch_loss"}
    assert list(batches) == [2, 4, 6]
    np.testing.assert_allclose(list(batches.values()), [seen[i - 1]["loss"] for i in batches], 1e-6)
    rates = [v for tag, _, _, v in train if tag.endswith("steps_per_second")]
    assert len(rates) == 3 + 2 and min(rates) > 0
    assert gpunn.callbacks.TensorBoard(update_freq="batch").update_freq == 1


def test_tensorboard_histograms_images_and_graph(tmp_path):
    board = gpunn.callbacks.TensorBoard(tmp_path, histogram_freq=2, write_images=True)
    m = model()
    m.fit(X, Y, epochs=3, verbose=0, callbacks=[board])
    events = events_of(tmp_path / "train")
    found = {(tag, step): (plugin, value) for tag, step, plugin, value in events}
    plugin, rows = found[f"{m.weights[0].path}/histogram", 2]
    assert plugin == "histograms" and rows.shape == (30, 3)
    w = m.get_weights()[0]
    np.testing.assert_allclose([rows[0, 0], rows[-1, 1]], [w.min(), w.max()], 1e-6)
    assert rows[:, 2].sum() == w.size and np.all(rows[1:, 0] == rows[:-1, 1])
    assert (f"{m.weights[0].path}/histogram", 1) not in found
    assert (f"{m.weights[1].path}/histogram", 0) in found
    plugin, (width, height, png) = found[f"{m.weights[0].path}/image", 2]
    assert (plugin, width, height) == ("images", b"2", b"1")
    pillow, io = pytest.importorskip("PIL.Image"), __import__("io")
    pixels = np.asarray(pillow.open(io.BytesIO(png)))
    expected = np.round(255 * (w - w.min()) / (w.max() - w.min()))
    np.testing.assert_array_equal(pixels, expected.reshape(1, 2))
    plugin, (text,) = found["keras", 0]
    layers = json.loads(text)["config"]["layers"]
    assert plugin == "graph_keras_model" and layers[-1]["config"]["name"] == "out"


@pytest.mark.parametrize("shape", [(4, 5, 1), (3, 2, 3), (2, 6, 4)])
def test_images_are_png(tmp_path, shape):
    pillow, io = pytest.importorskip("PIL.Image"), __import__("io")
    pixels = np.random.default_rng(0).integers(0, 256, (2, *shape)).astype(np.uint8)
    file = EventFile(str(tmp_path))
    file.images("x", pixels, 2**40)
    file.scalar("negative", -1.5, -3)
    file.close()
    (_, step, _, (width, height, *pngs)), (_, negative, _, value) = events_of(tmp_path)
    assert (int(height), int(width)) == shape[:2] and step == 2**40
    assert (negative, float(value)) == (-3, -1.5)
    for image, png in zip(pixels, pngs, strict=True):
        found = np.asarray(pillow.open(io.BytesIO(png)))
        np.testing.assert_array_equal(found.reshape(shape), image)


def test_tensorboard_embeddings(tmp_path):
    m = gpunn.Sequential(
        [gpunn.Input((3,), dtype="int32"), gpunn.layers.Embedding(5, 2, name="words"),
         gpunn.layers.Flatten(), gpunn.layers.Dense(1)]
    )  # fmt: skip
    m.compile("sgd", "mse")
    board = gpunn.callbacks.TensorBoard(
        tmp_path, embeddings_freq=1, embeddings_metadata={"words": "labels.tsv"}
    )
    m.fit(np.ones((4, 3), "int32"), np.ones(4), verbose=0, callbacks=[board])
    config = (tmp_path / "projector_config.pbtxt").read_text()
    assert 'tensor_path: "words.tsv"' in config and 'metadata_path: "labels.tsv"' in config
    np.testing.assert_allclose(np.loadtxt(tmp_path / "words.tsv"), m.get_weights()[0], 1e-5)
    wrong = gpunn.callbacks.TensorBoard(
        tmp_path, embeddings_freq=1, embeddings_metadata={"word": "labels.tsv"}
    )
    with pytest.raises(ValueError, match=r"names \['word'\], which are no Embedding layers"):
        m.fit(np.ones((4, 3), "int32"), np.ones(4), verbose=0, callbacks=[wrong])


def test_tensorboard_refusals():
    with pytest.raises(NotImplementedError, match="profile_batch must be 0, received 5"):
        gpunn.callbacks.TensorBoard(profile_batch=5)
    for wrong in ("batches", 0, 1.5):
        with pytest.raises(ValueError, match="update_freq must be 'batch', 'epoch' or a number"):
            gpunn.callbacks.TensorBoard(update_freq=wrong)


def test_a_model_without_a_description_has_no_graph(tmp_path):
    m = model()
    board = gpunn.callbacks.TensorBoard(tmp_path)
    m.get_config = lambda: {"what": object()}
    with pytest.warns(UserWarning, match="has no graph to show"):
        m.fit(X, Y, verbose=0, callbacks=[board])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        m.fit(X, Y, verbose=0, callbacks=[gpunn.callbacks.TensorBoard(tmp_path, write_graph=False)])
