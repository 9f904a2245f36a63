"""What Keras makes of the models in graphs.py, found in a process of its own.

The tests' Keras runs on JAX, which compiles each operation anew for each shape; here NumPy will do.
"""

import functools
import os
import pickle
import subprocess
import sys
from pathlib import Path


@functools.cache
def keras_facts():
    """By the name of the model: its layers, weights, shapes, and outputs for some inputs."""
    root = Path(__file__).parents[2]
    environment = {**os.environ, "KERAS_BACKEND": "numpy", "PYTHONPATH": str(root)}
    environment |= {"COLUMNS": "200"}
    command = [sys.executable, "-W", "ignore", "-m", "tests.models.keras_facts"]
    found = subprocess.run(command, stdout=subprocess.PIPE, env=environment, cwd=root, check=True)
    return pickle.loads(found.stdout)


def _facts(keras, model, seed):
    import numpy as np

    rng = np.random.default_rng(seed)

    def example(x):
        shape = tuple(3 if n is None else n for n in x.shape)
        if "int" in x.dtype:
            return rng.integers(0, 9, shape)
        return rng.standard_normal(shape).astype("float32")

    weights = [
        rng.uniform(*((0.1, 0.5) if "variance" in w.path else (-0.5, 0.5)), w.shape).astype(
            "float32"
        )
        for w in model.weights
    ]
    model.set_weights(weights)
    inputs = keras.tree.map_structure(example, model.input)
    lines = []
    model.summary(line_length=150, expand_nested=True, print_fn=lines.append)
    return {
        "layers": [layer.name for layer in model.layers],
        "weights": [(w.path, tuple(w.shape)) for w in model.weights],
        "trainable": [w.path for w in model.trainable_weights],
        "output_names": model.output_names,
        "input_shape": model.input_shape,
        "output_shape": model.output_shape,
        "dtypes": [y.dtype for y in model.outputs],
        "values": weights,
        "inputs": inputs,
        "outputs": keras.tree.map_structure(np.asarray, model(inputs)),
        "summary": "\n".join(lines),
    }


def _plain(value):
    """Keras' own kinds of lists and dicts as Python's."""
    for kind in (dict, list, tuple):
        if isinstance(value, kind):
            parts = value.items() if kind is dict else enumerate(value)
            found = {key: _plain(part) for key, part in parts}
            return found if kind is dict else kind(found.values())
    return value


def main(target):
    import keras

    from tests.models.graphs import GRAPHS

    facts = {}
    for seed, (name, make) in enumerate(GRAPHS.items()):
        keras.utils.clear_session()
        facts[name] = _plain(_facts(keras, make(keras), seed))
    pickle.dump(facts, target)


if __name__ == "__main__":
    results = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever Keras prints does not mix with the answer
    main(results)
    results.flush()
