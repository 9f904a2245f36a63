"""A graph keeps a tensor no longer than a node takes it; training keeps weights once."""

import weakref

import numpy as np

import gpunn
from gpunn.backend import devices


def test_a_tensor_that_no_later_node_takes_is_let_go():
    made, alive = [], []

    class Watch(gpunn.layers.Layer):
        def call(self, x):
            alive.append([t() is not None for t in made])
            y = x + 1
            made.append(weakref.ref(y))
            return y

    inputs = gpunn.Input((3,))
    a = Watch()(inputs)
    b = Watch()(a)
    c = Watch()(b)
    model = gpunn.Model(inputs, [Watch()(a + c), b])
    made.clear(), alive.clear()
    outputs = model(np.zeros((2, 3), "float32"))
    # when the last one is called, the sum has taken a and c; b is an output
    assert alive == [[], [True], [True, True], [False, True, False]]
    np.testing.assert_array_equal(outputs[0], np.full((2, 3), 5.0))


def test_the_weights_move_before_the_first_step_needs_memory():
    gpunn.utils.clear_session()
    model = gpunn.Sequential([gpunn.Input((1000,)), gpunn.layers.Dense(1000)])
    model.compile("sgd", "mse", jit_compile=False)
    x = np.zeros((2, 1000), "float32")
    devices.cpu.release_cache()
    before = devices.cpu.memory_stats()["used"]
    model.train_on_batch(x, x)
    weights = 4 * 1001 * 1000
    assert devices.cpu.memory_stats()["used"] - before < 1.2 * weights  # gradients, no copy
