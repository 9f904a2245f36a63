"""Mixed precision: half-precision arithmetic, float32 weights, and a scaled loss."""

import numpy as np
from sklearn.datasets import load_digits

import gpunn as keras
from gpunn import layers, ops


def build(dtype=None):
    inputs = keras.Input(shape=(64,), name="digits")
    x = layers.Dense(32, activation="relu", name="dense_1", dtype=dtype)(inputs)
    x = layers.Dropout(0.1, dtype=dtype)(x)
    x = layers.Dense(10, name="dense_logits", dtype=dtype)(x)
    # The last activation stays in float32, so that the loss is exact.
    outputs = layers.Activation("softmax", dtype="float32", name="predictions")(x)
    return keras.Model(inputs=inputs, outputs=outputs)


class Casting(layers.Layer):
    """Shows the dtypes a layer sees."""

    def build(self, input_shape):
        self.scale = self.add_weight(shape=(), initializer="ones", name="scale")

    def call(self, x):
        self.seen = (x.dtype, (x * self.scale).dtype, ops.cast(x, "float32").dtype)
        return x * self.scale


def main():
    keras.utils.set_random_seed(16)
    digits = load_digits()
    x, y = (digits.data / 16.0)[:600], digits.target[:600]

    before = keras.mixed_precision.dtype_policy()
    keras.mixed_precision.set_global_policy("mixed_float16")
    try:
        assert keras.mixed_precision.dtype_policy().name == "mixed_float16"
        model = build()
        dense = model.get_layer("dense_1")
        assert dense.compute_dtype == "float16" and dense.variable_dtype == "float32"
        assert dense.dtype_policy.name == "mixed_float16"
        assert dense.kernel.dtype == "float32" and dense.output.dtype == "float16"
        assert model.outputs[0].dtype == "float32"

        layer = Casting()
        layer(np.ones((2, 3), "float32"))
        assert layer.seen == ("float16", "float16", "float32")

        model.compile(
            optimizer=keras.optimizers.RMSprop(learning_rate=0.01),
            loss="sparse_categorical_crossentropy",
            metrics=["accuracy"],
        )
        history = model.fit(x, y, batch_size=100, epochs=5, validation_split=0.2, verbose=0).history
        assert history["loss"][-1] < 0.6 * history["loss"][0]
        assert history["val_accuracy"][-1] > 0.7
        scaled = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.1, momentum=0.9))
        assert float(scaled.scale_loss(2.0)) > 2.0
    finally:
        keras.mixed_precision.set_global_policy(before)

    half = model.predict(x, verbose=0)
    assert half.dtype == "float32"
    full = build(dtype="float32")
    assert full.get_layer("dense_1").compute_dtype == "float32"
    full.set_weights(model.get_weights())
    np.testing.assert_allclose(full.predict(x, verbose=0), half, atol=0.02)

    one = layers.Dense(3, dtype="mixed_float16")
    assert one(np.ones((2, 4))).dtype == "float16"
    whole = layers.Dense(3, dtype=keras.DTypePolicy("float16"))
    assert whole(np.ones((2, 4))).dtype == "float16" and whole.kernel.dtype == "float16"
    return {"loss": history["loss"], "accuracy": history["accuracy"]}
