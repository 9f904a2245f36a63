"""Config: as that of Keras."""

import copy
import json
import os
import pickle

os.environ.setdefault("KERAS_BACKEND", "jax")

import pytest

import gpunn


def changed(config):
    config.rate, config["epochs"] = 0.1, 20
    config.update({"seed": 1}, name="a")
    taken = config.pop("seed"), config.pop("seed", 5)
    del config["name"]
    return taken


def test_as_keras():
    keras = pytest.importorskip("keras")
    ours, theirs = (home.utils.Config(seed=3, batch=8) for home in (gpunn, keras))
    assert changed(ours) == changed(theirs) == (1, 5)
    for read in (
        list, len, repr, lambda c: c.as_dict(), lambda c: c.to_json(), lambda c: c.rate,
        lambda c: c["epochs"], lambda c: c.get("none", 4), lambda c: c.get("none"),
        lambda c: "rate" in c, lambda c: sorted(c.items()), lambda c: set(c.keys()),
        lambda c: sorted(c.values()), lambda c: c.frozen,
    ):  # fmt: skip
        assert read(ours) == read(theirs)


def test_a_frozen_one():
    config = gpunn.utils.Config(rate=0.1)
    config.freeze()
    assert config.frozen
    for change in (
        lambda: setattr(config, "rate", 1), lambda: config.update(a=1), lambda: config.pop("rate"),
        lambda: config.__delitem__("rate"), lambda: config.__setitem__("a", 1), config.clear,
    ):  # fmt: skip
        with pytest.raises(ValueError, match=r"it is frozen. Call unfreeze\(\)"):
            change()
    config.unfreeze()
    config.rate = 2
    assert json.loads(config.to_json()) == {"rate": 2}


def test_copies_and_errors():
    config = gpunn.utils.Config(rate=0.1, layers=[1])
    for twin in (copy.deepcopy(config), pickle.loads(pickle.dumps(config))):
        assert twin == config and twin is not config
        twin.layers.append(2)
    assert config.layers == [1] and config.as_dict() is not config.as_dict()
    with pytest.raises(AttributeError, match="Unknown name in Config: 'rat'. Did you mean 'rate'"):
        _ = config.rat
    with pytest.raises(AttributeError, match="'keys' is what it does or is"):
        config.keys = 3
    with pytest.raises(KeyError):
        _ = config["rat"]
