"""Keras on NumPy, in a process of its own.

The tests' Keras runs on JAX, which compiles each operation anew for each shape: too slow for many.
"""

import os
import pickle
import subprocess
import sys


class KerasProcess:
    """Answers calls of losses; arguments and results are NumPy arrays."""

    def __init__(self):
        environment = {**os.environ, "KERAS_BACKEND": "numpy"}
        command = [sys.executable, __file__]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
        )

    def __call__(self, name, *arguments, mask=None, **options):
        """A function of `keras.losses`, or a class: its object made with the options, and called.

        `mask`: the mask on the second argument.
        """
        pickle.dump((name, arguments, options, mask), self.process.stdin)
        self.process.stdin.flush()
        result = pickle.load(self.process.stdout)
        if isinstance(result, Exception):
            raise result
        return result

    def close(self):
        self.process.stdin.close()
        self.process.wait(10)
        self.process.stdout.close()


def _answer(keras, name, arguments, options, mask):
    import numpy as np

    loss = getattr(keras.losses, name)
    if isinstance(loss, type):
        loss, options = loss(**options), {}
    if mask is not None:  # a class of arrays that can have attributes
        masked = np.asarray(arguments[1]).view(type("Masked", (np.ndarray,), {}))
        masked._keras_mask = mask
        arguments = (arguments[0], masked, *arguments[2:])
    return np.asarray(loss(*arguments, **options))


def serve(source, target):
    import keras

    while True:
        try:
            request = pickle.load(source)
        except EOFError:
            return
        try:
            result = _answer(keras, *request)
        except Exception as error:
            result = RuntimeError(f"Keras: {type(error).__name__}: {error}")
        pickle.dump(result, target)
        target.flush()


if __name__ == "__main__":
    results = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever Keras prints does not mix with the answers
    serve(sys.stdin.buffer, results)
