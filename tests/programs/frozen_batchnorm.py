"""A frozen BatchNormalization runs in inference mode: its averages stay in training, too."""

import numpy as np
from sklearn.datasets import load_wine

import gpunn as keras
from gpunn import layers

ON_SIMULATED_GPU = True


def main():
    keras.utils.set_random_seed(2)
    x, y = load_wine(return_X_y=True)
    x = ((x - x.mean(axis=0)) / x.std(axis=0)).astype("float32")

    model = keras.Sequential(
        [
            keras.layers.Input((13,)),
            layers.Dense(12, use_bias=False),
            layers.BatchNormalization(momentum=0.8, name="bn"),
            layers.Activation("relu"),
            layers.Dense(3),
        ]
    )
    bn = model.get_layer("bn")
    assert [w.path.split("/")[-1] for w in bn.weights] == [
        "gamma",
        "beta",
        "moving_mean",
        "moving_variance",
    ]
    assert len(bn.trainable_weights) == 2 and len(bn.non_trainable_weights) == 2
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)

    model.compile(optimizer="adam", loss=loss, metrics=["acc"])
    first = model.fit(x, y, epochs=2, verbose=0).history["loss"]
    assert np.abs(bn.moving_mean.numpy()).max() > 0

    bn.trainable = False
    assert bn.trainable_weights == [] and len(bn.non_trainable_weights) == 4
    model.compile(optimizer=keras.optimizers.Adam(0.01), loss=loss, metrics=["acc"])
    frozen = [keras.ops.convert_to_numpy(w) for w in bn.weights]
    kernel = model.layers[0].kernel.numpy()
    second = model.fit(x, y, epochs=4, verbose=0).history
    for before, after in zip(frozen, bn.get_weights()):
        np.testing.assert_array_equal(before, after)
    assert np.any(kernel != model.layers[0].get_weights()[0])

    sample = keras.random.normal((16, 12), mean=3.0)
    np.testing.assert_allclose(bn(sample, training=True), bn(sample, training=False), rtol=1e-6)
    bn.trainable = True
    live = np.array(bn(sample, training=True))
    np.testing.assert_allclose(live.mean(axis=0), np.array(bn.beta), atol=1e-4)
    assert second["loss"][-1] < second["loss"][0] < first[0]
    return {"loss": second["loss"][-1], "acc": second["acc"][-1], "mean": frozen[2]}


if __name__ == "__main__":
    print(main())
