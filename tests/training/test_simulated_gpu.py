"""A whole fit on the simulated GPU equals the one on the CPU; a step stays on the device."""

import numpy as np
import pytest

import gpunn
from gpunn import layers
from tests.simulated_gpu.device import statistics

RNG = np.random.default_rng(4)
X = RNG.standard_normal((22, 6)).astype("float32")
LABELS = RNG.integers(0, 3, 22)
ONE_HOT = np.eye(3, dtype="float32")[LABELS]
W = RNG.uniform(0, 2, 22).astype("float32")


def classifier():
    return [
        layers.Dense(7, "relu", kernel_regularizer="l2"), layers.Dropout(0.4, seed=5),
        layers.Dense(3, "softmax"),
    ]  # fmt: skip


def noisy():
    return [
        layers.GaussianNoise(0.1), layers.Reshape((2, 3)), layers.Permute((2, 1)), layers.Flatten(),
        layers.Dense(5, activity_regularizer="l1"), layers.PReLU(), layers.GaussianDropout(0.2),
        layers.Dense(3, kernel_constraint="max_norm"), layers.LeakyReLU(),
    ]  # fmt: skip


CASES = {
    "sparse-adam": (classifier, "adam", "sparse_categorical_crossentropy", LABELS, ["accuracy"]),
    "onehot-sgd": (
        classifier, lambda: gpunn.optimizers.SGD(0.1, momentum=0.9, nesterov=True),
        "categorical_crossentropy", ONE_HOT, ["accuracy"],
    ),
    "mse-rmsprop": (
        noisy, lambda: gpunn.optimizers.RMSprop(0.01, centered=True, clipnorm=1.0), "mse", ONE_HOT,
        ["mae"],
    ),
    "mae-adagrad": (noisy, "adagrad", "mae", ONE_HOT, ["mse"]),
    "bce-adamw": (
        noisy, lambda: gpunn.optimizers.AdamW(0.01, global_clipnorm=1.0),
        gpunn.losses.BinaryCrossentropy(from_logits=True), ONE_HOT, ["mae"],
    ),
    "amsgrad-clipvalue": (
        classifier, lambda: gpunn.optimizers.Adam(0.01, amsgrad=True, clipvalue=0.05),
        "categorical_crossentropy", ONE_HOT, [],
    ),
}  # fmt: skip


def made(name):
    gpunn.utils.set_random_seed(9)
    make, optimizer, loss, y, metrics = CASES[name]
    model = gpunn.Sequential([layers.Input((6,)), *make()])
    model.compile(
        optimizer if isinstance(optimizer, str) else optimizer(),
        loss, metrics=metrics, weighted_metrics=["mse" if y is ONE_HOT else "acc"],
    )  # fmt: skip
    return model, y


def run(name):
    model, y = made(name)
    initial = model.get_weights()
    history = model.fit(
        X, y, batch_size=8, epochs=2, validation_split=0.2, sample_weight=W, verbose=0
    )
    results = [*history.history.values(), model.evaluate(X, y, verbose=0)]
    return model, initial, results, model.predict(X, batch_size=5, verbose=0)


@pytest.mark.parametrize("name", CASES)
def test_fit_equals_the_cpu(simulated_gpu, name):
    cpu, cpu_initial, cpu_results, cpu_y = run(name)
    with gpunn.device("gpu:0"):
        gpu, gpu_initial, gpu_results, gpu_y = run(name)
    assert {w.device for w in gpu.weights} == {"gpu:0"} and {w.device for w in cpu.weights} == {
        "cpu"
    }
    for a, b in zip(gpu_initial, cpu_initial):
        assert a.tobytes() == b.tobytes()  # initial weights agree in every bit
    for a, b in zip(gpu.get_weights(), cpu.get_weights()):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=2e-6)
    for a, b in zip(gpu_results, cpu_results):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)
    assert type(gpu_y) is np.ndarray
    np.testing.assert_allclose(gpu_y, cpu_y, rtol=1e-4, atol=1e-6)
    seeds = [
        [
            layer.seed_generator.state.tolist()
            for layer in m.layers
            if hasattr(layer, "seed_generator")
        ]
        for m in (gpu, cpu)
    ]
    assert seeds[0] == seeds[1] and seeds[0][0][1] == 6  # 3 steps in each of 2 epochs


def masks_and_orders():
    """The dropout masks and the rows of each training batch, in their order."""
    gpunn.utils.set_random_seed(9)
    seen = []

    class Notes(layers.Layer):
        def call(self, x, training=False):
            if training:
                seen.append(x.numpy().tobytes())
            return x

    drop = [Notes(), layers.Dropout(0.5), Notes()]
    model = gpunn.Sequential([layers.Input((6,)), *drop, layers.Dense(1)])
    model.compile("sgd", "mse")
    model.fit(X, LABELS, batch_size=8, epochs=2, verbose=0)
    return seen


def test_masks_and_shuffles_agree_in_every_bit(simulated_gpu):
    cpu = masks_and_orders()
    with gpunn.device("gpu:0"):
        gpu = masks_and_orders()
    assert len(cpu) == 12 and gpu == cpu


@pytest.mark.parametrize("name", CASES)
def test_a_training_step_moves_its_inputs_and_nothing_else(simulated_gpu, name):
    with gpunn.device("gpu:0"):
        model, y = made(name)
        model.train_on_batch(X, y)
        step, batch = model._step, (X, np.asarray(y), W)
        step.train(*batch)
        before = statistics().host_to_device, statistics().device_to_host
        for _ in range(3):
            step.train(*batch)
        after = statistics().host_to_device, statistics().device_to_host
    assert after[0] - before[0] == 9  # x, y and the weights, three times
    assert after[1] == before[1]


def test_an_epoch_reads_its_results_once(simulated_gpu):
    """A loss and two metrics a read; no read after each batch."""
    with gpunn.device("gpu:0"):
        model, y = made("onehot-sgd")
        model.fit(X, y, batch_size=8, verbose=0)
        before = statistics().device_to_host
        model.fit(X, y, batch_size=2, epochs=2, verbose=0)
    assert statistics().device_to_host - before == 2 * 3


def test_inputs_that_are_on_the_device_already(simulated_gpu):
    with gpunn.device("gpu:0"):
        model, y = made("onehot-sgd")
        x = gpunn.ops.convert_to_tensor(X)
        y = gpunn.ops.convert_to_tensor(y)
        history = model.fit(x, y, batch_size=8, verbose=0).history
        same, _ = made("onehot-sgd")
        assert same.fit(X, ONE_HOT, batch_size=8, verbose=0).history == history
        assert model.predict(x, verbose=0).shape == (22, 3)
