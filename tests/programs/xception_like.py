"""A small Xception: separable convolutions, residuals and rescaling; the best epoch's weights."""

import numpy as np
from sklearn.datasets import load_digits

import gpunn as keras
from gpunn import layers


def make_model(input_shape, num_classes):
    inputs = keras.Input(shape=input_shape)
    x = layers.Rescaling(1.0 / 16)(inputs)
    x = layers.Conv2D(8, 3, padding="same")(x)
    x = layers.BatchNormalization(momentum=0.8)(x)
    x = layers.Activation("relu")(x)
    previous_block_activation = x  # set aside residual

    for size in [12, 16]:
        x = layers.Activation("relu")(x)
        x = layers.SeparableConv2D(size, 3, padding="same", use_bias=False)(x)
        x = layers.BatchNormalization(momentum=0.8)(x)
        x = layers.MaxPooling2D(3, strides=2, padding="same")(x)
        residual = layers.Conv2D(size, 1, strides=2, padding="same")(previous_block_activation)
        x = layers.add([x, residual])  # add back residual
        previous_block_activation = x  # set aside next residual

    x = layers.SeparableConv2D(24, 3, padding="same")(x)
    x = layers.BatchNormalization(momentum=0.8)(x)
    x = layers.Activation("relu")(x)
    x = layers.GlobalAveragePooling2D()(x)
    if num_classes == 2:
        units = 1
    else:
        units = num_classes
    x = layers.Dropout(0.1)(x)
    outputs = layers.Dense(units, activation=None)(x)
    return keras.Model(inputs, outputs)


def main():
    keras.utils.set_random_seed(16)
    x, y = load_digits(n_class=4, return_X_y=True)
    x, y = x.reshape(-1, 8, 8, 1).astype("float32")[:320], y[:320]

    model = make_model(input_shape=x.shape[1:], num_classes=4)
    separable = [layer for layer in model.layers if isinstance(layer, layers.SeparableConv2D)]
    assert [tuple(w.shape) for w in separable[0].weights] == [(3, 3, 8, 1), (1, 1, 8, 12)]
    assert [tuple(w.shape) for w in separable[2].weights][-1] == (24,)
    model.compile(
        optimizer=keras.optimizers.Adam(0.01),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=[keras.metrics.SparseCategoricalAccuracy(name="acc")],
    )
    best = keras.callbacks.EarlyStopping(monitor="val_loss", patience=4, restore_best_weights=True)
    history = model.fit(
        x[:240], y[:240], epochs=4, batch_size=40, verbose=0, callbacks=[best],
        validation_data=(x[240:], y[240:]),
    ).history  # fmt: skip
    loss, accuracy = model.evaluate(x[240:], y[240:], verbose=0)
    np.testing.assert_allclose(loss, min(history["val_loss"]), rtol=1e-4)
    assert history["loss"][-1] < 0.5 * history["loss"][0]
    assert history["acc"][-1] > 0.8
    score = keras.ops.softmax(model.predict(x[:1], verbose=0))
    assert tuple(score.shape) == (1, 4)
    return {"loss": loss, "accuracy": accuracy}


if __name__ == "__main__":
    print(main())
