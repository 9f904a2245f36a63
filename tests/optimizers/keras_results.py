"""What Keras makes of all cases, on its NumPy backend: it compiles nothing, which is quicker here.

KERAS_BACKEND=numpy python -m tests.optimizers.keras_results results.npz
"""

import sys

import numpy as np

from .cases import CASES, made, run, variables


def results():
    """ "<case> weight|state <i>" -> array, "<case> iterations", "<case> rate"."""
    import keras

    found = {}
    for case, (name, options) in enumerate(CASES):
        optimizer, weights = made(keras, name, options), variables(keras)
        run(keras, optimizer, weights)
        for kind, values in (("weight", weights), ("state", optimizer.variables)):
            found |= {f"{case} {kind} {i}": np.asarray(v.value) for i, v in enumerate(values)}
        found[f"{case} iterations"] = np.asarray(optimizer.iterations)
        found[f"{case} rate"] = np.asarray(optimizer.learning_rate)
    return found


if __name__ == "__main__":
    np.savez(sys.argv[1], **results())
