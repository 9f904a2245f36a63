"""Twenty steps of every optimizer against Keras, with the same gradients; names and signatures."""

import inspect
import os
import subprocess
import sys
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "jax")

import numpy as np
import pytest

import gpunn
from gpunn import optimizers

from . import keras_results
from .cases import (
    CASES,
    IDS,
    METHODS,
    STEPS,
    agree,
    constant,
    exponential,
    gradients,
    made,
    run,
    variables,
)

keras = pytest.importorskip("keras")
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    """Keras' results, of a process of their own: its backend is chosen once in a process."""
    path = tmp_path_factory.mktemp("keras") / "results.npz"
    command = [sys.executable, "-m", keras_results.__name__, path]
    subprocess.run(command, cwd=ROOT, env={**os.environ, "KERAS_BACKEND": "numpy"}, check=True)
    with np.load(path) as found:
        return dict(found)


@pytest.mark.parametrize("case", range(len(CASES)), ids=IDS)
def test_twenty_steps(expected, case):
    name, options = CASES[case]
    optimizer, weights = made(gpunn, name, options), variables(gpunn)
    run(gpunn, optimizer, weights)
    agree(weights, [expected[f"{case} weight {i}"] for i in range(len(weights))])
    assert int(optimizer.iterations) == expected[f"{case} iterations"]
    assert int(optimizer.iterations) == STEPS // options.get("gradient_accumulation_steps", 1)
    assert float(optimizer.learning_rate) == pytest.approx(
        float(expected[f"{case} rate"]), rel=1e-5
    )
    state = [expected[f"{case} state {i}"] for i in range(len(optimizer.variables))]
    assert f"{case} state {len(state)}" not in expected
    agree(optimizer.variables, state, rtol=1e-4, atol=2e-6)


def parameters(cls):
    return [
        (p.name, p.default)
        for p in inspect.signature(cls).parameters.values()
        if p.kind is not p.VAR_KEYWORD
    ]


def test_classes_arguments_and_defaults():
    for module, theirs in (
        (optimizers, keras.optimizers),
        (optimizers.schedules, keras.optimizers.schedules),
    ):
        for name, cls in vars(theirs).items():
            if inspect.isclass(cls):
                assert parameters(getattr(module, name)) == parameters(cls), name


@pytest.mark.parametrize("name", METHODS)
def test_paths_of_the_state(name):
    gpunn.utils.clear_session()
    keras.utils.clear_session()
    options = {"use_ema": True, "gradient_accumulation_steps": 2}
    options |= {"momentum": 0.9} if name in ("SGD", "RMSprop") else {}
    options |= {"centered": True} if name == "RMSprop" else {}
    options |= {"amsgrad": True} if name in ("Adam", "AdamW") else {}
    found = []
    for k in (gpunn, keras):
        model = k.Sequential([k.Input((4,)), k.layers.Dense(3), k.layers.Dense(2)])
        optimizer = made(k, name, options)
        optimizer.build(model.trainable_variables)
        found.append([(v.path, tuple(v.shape), str(v.dtype)) for v in optimizer.variables])
    ours, theirs = found
    if name == "Nadam":  # its product is called "variable" there
        ours[-1], theirs[-1] = ours[-1][1:], theirs[-1][1:]
    if name == "Adafactor":  # where a vector needs no state, scalars stand outside of its scope
        ours, theirs = ([(p.split("/")[-1], *r) for p, *r in part] for part in (ours, theirs))
    assert ours == theirs


@pytest.mark.parametrize(("name", "options"), CASES, ids=IDS)
def test_config_has_keras_keys_and_round_trips(name, options):
    ours, theirs = made(gpunn, name, options), made(keras, name, options)
    config, expected = ours.get_config(), theirs.get_config()
    assert set(config) == set(expected)
    for key in set(config) - {"name", "learning_rate"}:
        assert config[key] == expected[key], key
    again = type(ours).from_config(config)
    assert again.get_config() == config
    w, other = variables(gpunn), variables(gpunn)
    run(gpunn, ours, w, 3)
    run(gpunn, again, other, 3)
    for a, b in zip(w, other):
        np.testing.assert_array_equal(a.numpy(), b.numpy())


@pytest.mark.parametrize("name", METHODS)
def test_configs_of_keras_can_be_read(name):
    config = keras.optimizers.serialize(made(keras, name, {"learning_rate": exponential}))
    found = optimizers.deserialize(config)
    assert type(found).__name__ == name
    assert found.get_config()["learning_rate"]["config"]["decay_rate"] == 0.7


@pytest.mark.parametrize("how", ["var_list", "var_names"])
@pytest.mark.parametrize("name", ["AdamW", "Muon"])
def test_exclude_from_weight_decay(name, how):
    results = []
    for k in (gpunn, keras):
        w = variables(k)
        optimizer = getattr(k.optimizers, name)(0.1, weight_decay=0.5)
        choice = [w[1]] if how == "var_list" else ["b.as", "nothing"]
        optimizer.exclude_from_weight_decay(**{how: choice})
        run(k, optimizer, w, 3)
        results.append(w)
    agree(*results)


@pytest.mark.parametrize(("name", "options"), CASES, ids=IDS)
def test_float64_variables_beside_float32(name, options):
    """Each dtype in its own flat buffer; float64 is computed in float64."""
    optimizer = made(gpunn, name, options)
    w32, w64 = variables(gpunn), variables(gpunn, dtype="float64")
    mixed = [v for pair in zip(w32, w64) for v in pair]
    for step in range(STEPS if "global_clipnorm" not in options else 0):
        pairs = [g for g in gradients(step) for _ in range(2)]
        optimizer.apply_gradients(zip(pairs, mixed))
    assert [v.dtype for v in mixed[:2]] == ["float32", "float64"]
    agree(w32, w64, rtol=2e-5, atol=1e-5)


def test_learning_rates_that_are_functions_have_a_config():
    optimizer = optimizers.SGD(constant(gpunn))
    assert optimizer.get_config()["learning_rate"]() == 0.03
