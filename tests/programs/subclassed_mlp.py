"""Breast cancer with a subclassed layer in a subclassed model."""

from sklearn.datasets import load_breast_cancer
from sklearn.preprocessing import StandardScaler

import gpunn as keras
from gpunn import layers, ops


class Linear(layers.Layer):
    def __init__(self, units=32, **kwargs):
        super().__init__(**kwargs)
        self.units = units

    def build(self, input_shape):
        self.w = self.add_weight(
            shape=(input_shape[-1], self.units),
            initializer="glorot_uniform",
            regularizer=keras.regularizers.L2(1e-4),
            trainable=True,
            name="w",
        )
        self.b = self.add_weight(shape=(self.units,), initializer="zeros", name="b")

    def call(self, inputs):
        return ops.matmul(inputs, self.w) + self.b

    def get_config(self):
        return {**super().get_config(), "units": self.units}


class MLP(keras.Model):
    def __init__(self, units, rate=0.1, **kwargs):
        super().__init__(**kwargs)
        self.hidden = [Linear(width) for width in units]
        self.dropout = layers.Dropout(rate)
        self.head = layers.Dense(1, activation="sigmoid")

    def call(self, inputs, training=None):
        x = inputs
        for layer in self.hidden:
            x = ops.relu(layer(x))
            x = self.dropout(x, training=training)
        return self.head(x)


def main():
    keras.utils.set_random_seed(2)
    x, y = load_breast_cancer(return_X_y=True)
    x = StandardScaler().fit_transform(x).astype("float32")

    model = MLP([16, 8], name="mlp")
    assert not model.built
    model.compile(
        optimizer=keras.optimizers.Adam(1e-2),
        loss="binary_crossentropy",
        metrics=["accuracy", keras.metrics.AUC(name="auc")],
    )
    history = model.fit(x[:450], y[:450], epochs=6, batch_size=32, verbose=0)
    assert model.built and len(model.layers) == 4
    assert len(model.trainable_weights) == 6
    assert len(model.losses) == 2  # a penalty a Linear
    assert history.history["loss"][-1] < history.history["loss"][0]

    result = model.evaluate(x[450:], y[450:], verbose=0, return_dict=True)
    assert result["accuracy"] > 0.9 and result["auc"] > 0.95
    again = Linear.from_config(model.hidden[0].get_config())
    assert again.units == 16
    return {**result, "training_loss": history.history["loss"]}


if __name__ == "__main__":
    print(main())
