"""Models inside models: an encoder, a classifier on it, an ensemble, a frozen inner model."""

import numpy as np
from sklearn.datasets import load_wine

import gpunn as keras
from gpunn import layers


def make_encoder():
    return keras.Sequential(
        [keras.Input((13,)), layers.Dense(16, "relu"), layers.Dense(8, "relu")], name="encoder"
    )


def make_classifier(encoder, name):
    inputs = keras.Input((13,))
    outputs = layers.Dense(3, activation="softmax", name="head")(encoder(inputs))
    return keras.Model(inputs, outputs, name=name)


def main():
    keras.utils.set_random_seed(8)
    x, y = load_wine(return_X_y=True)
    x = ((x - x.mean(axis=0)) / x.std(axis=0)).astype("float32")

    encoder = make_encoder()
    classifier = make_classifier(encoder, "classifier")
    assert classifier.get_layer("encoder") is encoder
    assert len(classifier.trainable_weights) == 6

    classifier.compile(
        optimizer=keras.optimizers.Adam(0.01), loss="sparse_categorical_crossentropy"
    )
    before = encoder.get_weights()
    classifier.fit(x, y, epochs=2, verbose=0)
    assert any(np.any(a != b) for a, b in zip(before, encoder.get_weights(), strict=True))

    # the encoder, frozen, under a new head
    encoder.trainable = False
    assert not encoder.layers[0].trainable and encoder.trainable_weights == []
    transfer = make_classifier(encoder, "transfer")
    assert [w.path.split("/")[-1] for w in transfer.trainable_weights] == ["kernel", "bias"]
    transfer.compile(
        keras.optimizers.Adam(0.02), "sparse_categorical_crossentropy", metrics=["accuracy"]
    )
    before = encoder.get_weights()
    history = transfer.fit(x, y, epochs=10, verbose=0)
    for a, b in zip(before, encoder.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert history.history["accuracy"][-1] > 0.85

    # the average of both; a copy; what a config says
    inputs = keras.Input((13,))
    ensemble = keras.Model(inputs, layers.average([classifier(inputs), transfer(inputs)]))
    mean = (classifier.predict(x, verbose=0) + transfer.predict(x, verbose=0)) / 2
    np.testing.assert_allclose(ensemble.predict(x, verbose=0), mean, rtol=1e-5, atol=1e-6)
    assert len(ensemble.weights) == 8  # the encoder's count once
    copy = keras.models.clone_model(classifier)
    copy.set_weights(classifier.get_weights())
    np.testing.assert_allclose(
        copy.predict(x, verbose=0), classifier.predict(x, verbose=0), rtol=1e-5, atol=1e-6
    )
    again = keras.Model.from_config(transfer.get_config())
    again.set_weights(transfer.get_weights())
    assert not again.get_layer("encoder").trainable
    np.testing.assert_allclose(
        again.predict(x, verbose=0), transfer.predict(x, verbose=0), rtol=1e-5, atol=1e-6
    )
    return {"loss": history.history["loss"], "mean": mean}


if __name__ == "__main__":
    print(main())
