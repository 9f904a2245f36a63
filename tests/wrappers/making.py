"""Small models for the wrappers' tests."""

import gpunn as keras


def make(X, y, head=None, loss="mse", units=4, rate=0.1, l2=0.0):
    """A network with one hidden layer whose first weights are always the same."""
    keras.utils.set_random_seed(3)
    model = keras.Sequential(
        [
            keras.Input(X.shape[1:]),
            keras.layers.Flatten(),
            keras.layers.Dense(units, "tanh", kernel_regularizer=keras.regularizers.L2(l2)),
            keras.layers.Dense(y.shape[1], activation=head),
        ]
    )
    model.compile(keras.optimizers.Adam(rate), loss)
    return model


CLASSES = {"head": "softmax", "loss": "categorical_crossentropy"}
QUIET = {"verbose": 0, "epochs": 10}
