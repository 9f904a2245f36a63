"""Saliency: the gradient of a class's score with respect to the pixels, plain,
integrated, and at a convolution (Grad-CAM)."""

import numpy as np
from sklearn.datasets import load_digits

import gpunn as keras
from gpunn import layers, ops


def gradients_of_score(model, images, label):
    images = ops.cast(images, "float32")
    with keras.GradientTape() as tape:
        tape.watch(images)
        scores = model(images)
        score = scores[:, label]
    return tape.gradient(score, images)


def integrated_gradients(model, image, label, steps=40):
    """(x - x₀) · mean of the gradients on the straight way from x₀ = 0 to x."""
    ways = ((np.arange(steps) + 0.5) / steps).reshape(-1, 1, 1, 1).astype("float32")
    gradients = gradients_of_score(model, ways * image[None], label)
    return image * ops.mean(gradients, axis=0)


def main():
    keras.utils.set_random_seed(24)
    digits = load_digits()
    x, y = digits.images[:400, ..., None].astype("float32") / 16, digits.target[:400]
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Conv2D(8, 3, activation="relu", name="conv"),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dense(10, name="scores"),
        ]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.02), loss=loss, metrics=["accuracy"])
    history = model.fit(x, y, epochs=6, batch_size=50, verbose=0).history
    assert history["accuracy"][-1] > 0.85

    image, label = x[0], int(y[0])
    saliency = gradients_of_score(model, image[None], label)
    assert saliency.shape == (1, 8, 8, 1)
    saliency = saliency.numpy()[0, ..., 0]

    step = 1e-2  # the score is piecewise linear in the pixel
    row, column = np.unravel_index(np.abs(saliency).argmax(), (8, 8))
    nudged = np.repeat(image[None], 2, axis=0)
    nudged[:, row, column, 0] += np.array([step, -step])
    scores = model.predict(nudged, verbose=0)[:, label]
    np.testing.assert_allclose(
        (scores[0] - scores[1]) / (2 * step), saliency[row, column], rtol=0.05
    )

    attributed = integrated_gradients(model, image, label)
    ends = model.predict(np.stack([image, np.zeros_like(image)]), verbose=0)[:, label]
    np.testing.assert_allclose(np.sum(attributed), ends[0] - ends[1], rtol=0.1, atol=0.1)

    grad_model = keras.models.Model(model.inputs, [model.get_layer("conv").output, model.output])
    with keras.GradientTape() as tape:
        maps, predictions = grad_model(x[:1])
        predicted = ops.argmax(predictions[0])
        class_channel = predictions[:, predicted]
    gradients = tape.gradient(class_channel, maps)
    weights = ops.mean(gradients, axis=(0, 1, 2))
    heatmap = ops.relu(ops.squeeze(maps[0] @ weights[..., None], axis=-1))
    heatmap = ops.maximum(heatmap, 0) / ops.max(heatmap)
    assert heatmap.shape == (6, 6) and predictions.shape == (1, 10)
    return {"saliency": saliency, "attributed": attributed, "heatmap": heatmap}
