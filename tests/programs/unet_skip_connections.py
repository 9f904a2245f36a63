"""A U-Net marks the pixels of a blob: skip connections join the way down with the way up."""

import numpy as np

import gpunn as keras
from gpunn import layers


def double_conv_block(x, n_filters):
    x = layers.Conv2D(n_filters, 3, padding="same", kernel_initializer="he_normal")(x)
    x = layers.ReLU()(x)
    return layers.Conv2D(
        n_filters, 3, padding="same", activation="relu", kernel_initializer="he_normal"
    )(x)


def downsample_block(x, n_filters):
    f = double_conv_block(x, n_filters)
    p = layers.MaxPool2D(2)(f)
    p = layers.Dropout(0.05)(p)
    return f, p


def upsample_block(x, conv_features, n_filters):
    x = layers.Conv2DTranspose(n_filters, 3, 2, padding="same")(x)
    x = layers.concatenate([x, conv_features])
    return double_conv_block(x, n_filters)


def build_unet_model(size):
    inputs = layers.Input(shape=(size, size, 1))
    f1, p1 = downsample_block(inputs, 4)
    f2, p2 = downsample_block(p1, 8)
    bottleneck = double_conv_block(p2, 12)
    u2 = upsample_block(bottleneck, f2, 8)
    u1 = upsample_block(u2, f1, 4)
    outputs = layers.Conv2D(1, 1, padding="same", activation="sigmoid")(u1)
    return keras.Model(inputs, outputs, name="U-Net")


def dice(y_true, y_pred):
    intersection = keras.ops.sum(y_true * y_pred, axis=[1, 2, 3])
    total = keras.ops.sum(y_true, axis=[1, 2, 3]) + keras.ops.sum(y_pred, axis=[1, 2, 3])
    return (2.0 * intersection + 1.0) / (total + 1.0)


def dice_loss(y_true, y_pred):
    return 1.0 - dice(y_true, y_pred)


def main():
    keras.utils.clear_session()
    keras.utils.set_random_seed(17)
    rng = np.random.default_rng(17)
    size = 12
    grid = np.indices((size, size))
    centers = rng.integers(3, size - 3, size=(64, 2))
    masks = np.square(grid - centers[:, :, None, None]).sum(axis=1) <= 6
    masks = masks[..., None].astype("float32")
    images = masks + 0.3 * rng.normal(size=masks.shape).astype("float32")

    model = build_unet_model(size)
    assert model.output_shape == (None, size, size, 1)
    assert [layer.name for layer in model.layers if "concat" in layer.name] == [
        "concatenate",
        "concatenate_1",
    ]
    model.compile(
        optimizer=keras.optimizers.Adam(0.01),
        loss=dice_loss,
        metrics=[dice, keras.metrics.BinaryIoU(target_class_ids=[1], threshold=0.5, name="iou")],
    )
    history = model.fit(
        images[:48], masks[:48], batch_size=8, epochs=5, verbose=0,
        validation_data=(images[48:], masks[48:]),
    ).history  # fmt: skip
    assert set(history) == {"loss", "dice", "iou", "val_loss", "val_dice", "val_iou"}
    np.testing.assert_allclose(1 - history["val_loss"][-1], history["val_dice"][-1], atol=1e-4)
    assert history["val_loss"][-1] < 0.6 * history["val_loss"][0]
    assert history["val_iou"][-1] > 0.6
    return {"dice": history["val_dice"][-1], "iou": history["val_iou"][-1]}


if __name__ == "__main__":
    print(main())
