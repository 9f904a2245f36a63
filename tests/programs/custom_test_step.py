"""A test_step and a predict_step of one's own: the mean over several noisy views of the data."""

import numpy as np
from sklearn.datasets import load_iris

import gpunn as keras
from gpunn import layers, ops


class AveragedModel(keras.Model):
    """Tests the average of the model on x and on shifted copies; predicts classes."""

    shifts = (-0.1, 0.0, 0.1)

    def averaged(self, x):
        views = [self(x + shift, training=False) for shift in self.shifts]
        return ops.mean(ops.stack(views), axis=0)

    def test_step(self, data):
        x, y = data
        y_pred = self.averaged(x)
        loss = self.compute_loss(x=x, y=y, y_pred=y_pred)
        for metric in self.metrics:
            if metric.name != "loss":
                metric.update_state(y, y_pred)
            else:
                metric.update_state(loss, sample_weight=ops.shape(x)[0])
        return {m.name: m.result() for m in self.metrics}

    def predict_step(self, data):
        x, _, _ = keras.utils.unpack_x_y_sample_weight(data)
        return ops.argmax(self.averaged(x), axis=-1)


def main():
    keras.utils.set_random_seed(17)
    x, y = load_iris(return_X_y=True)
    x = ((x - x.mean(axis=0)) / x.std(axis=0)).astype("float32")
    one_hot = keras.utils.to_categorical(y)

    inputs = keras.Input((4,))
    h = layers.Dense(16, activation="swish")(inputs)
    model = AveragedModel(inputs, layers.Dense(3, activation="softmax")(h))
    model.compile(
        loss=keras.losses.CategoricalCrossentropy(label_smoothing=0.05),
        optimizer=keras.optimizers.Adam(0.02),
        metrics=[keras.metrics.CategoricalAccuracy(name="accuracy")],
    )
    history = model.fit(
        x, one_hot, epochs=6, batch_size=25, verbose=0, validation_data=(x, one_hot)
    ).history

    loss, accuracy = model.evaluate(x, one_hot, batch_size=40, verbose=0)
    np.testing.assert_allclose(
        [loss, accuracy], [history["val_loss"][-1], history["val_accuracy"][-1]], rtol=1e-5
    )
    classes = model.predict(x, verbose=0)
    assert classes.shape == (150,) and classes.dtype == np.int32
    np.testing.assert_allclose(np.mean(classes == y), accuracy, rtol=1e-6)
    assert accuracy > 0.85
    return {"loss": loss, "accuracy": accuracy, **history}


if __name__ == "__main__":
    print(main())
