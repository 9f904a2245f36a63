"""Are two digits the same? One encoder shared by two inputs, a contrastive loss."""

import numpy as np
from sklearn.datasets import load_digits

import gpunn as keras
from gpunn import layers, ops


def make_pairs(x, y, seed):
    rng = np.random.default_rng(seed)
    by_class = [np.where(y == k)[0] for k in range(10)]
    pairs, labels = [], []
    for i in range(len(x)):
        same = rng.choice(by_class[y[i]])
        other = rng.choice(by_class[(y[i] + rng.integers(1, 10)) % 10])
        pairs += [[x[i], x[same]], [x[i], x[other]]]
        labels += [0, 1]
    return np.array(pairs), np.array(labels, "float32")


def euclidean_distance(vectors):
    x, y = vectors
    sum_square = ops.sum(ops.square(x - y), axis=1, keepdims=True)
    return ops.sqrt(ops.maximum(sum_square, keras.backend.epsilon()))


def contrastive_loss(margin=1.0):
    def loss(y_true, y_pred):
        square_pred = ops.square(y_pred)
        margin_square = ops.square(ops.maximum(margin - y_pred, 0))
        return ops.mean((1 - y_true) * square_pred + y_true * margin_square)

    return loss


def main():
    keras.utils.set_random_seed(5)
    x, y = load_digits(return_X_y=True)
    pairs, labels = make_pairs((x[:500] / 16).astype("float32"), y[:500], seed=0)

    encoder_input = keras.Input((64,))
    h = layers.BatchNormalization(momentum=0.8)(encoder_input)
    h = layers.Dense(32, activation="relu")(h)
    encoder = keras.Model(encoder_input, layers.Dense(8, activation="tanh")(h), name="encoder")

    left, right = keras.Input((64,), name="left"), keras.Input((64,), name="right")
    tower_1, tower_2 = encoder(left), encoder(right)
    distance = layers.Lambda(euclidean_distance, output_shape=(1,))([tower_1, tower_2])
    siamese = keras.Model(inputs=[left, right], outputs=distance)

    assert siamese.output_shape == (None, 1)
    assert siamese.count_params() == encoder.count_params()  # the towers share their weights
    siamese.compile(loss=contrastive_loss(margin=1), optimizer=keras.optimizers.Adam(5e-3))
    inputs = [pairs[:, 0], pairs[:, 1]]
    history = siamese.fit(inputs, labels, batch_size=64, epochs=5, verbose=0)
    assert history.history["loss"][-1] < 0.5 * history.history["loss"][0]

    distances = siamese.predict(inputs, verbose=0)[:, 0]
    accuracy = np.mean((distances > 0.5) == (labels > 0.5))
    assert accuracy > 0.85
    there, back = siamese.predict(inputs[::-1], verbose=0)[:, 0], distances
    np.testing.assert_allclose(there, back, rtol=1e-4, atol=1e-5)
    return {"accuracy": accuracy, "loss": history.history["loss"]}


if __name__ == "__main__":
    print(main())
