"""Copies of models: `clone_model`, weights, configurations, JSON, and what `summary` says."""

import os

import numpy as np

import gpunn as keras
from gpunn import layers

ON_SIMULATED_GPU = True


def make_model():
    inputs = keras.Input(shape=(8, 8, 1), name="image")
    x = layers.Conv2D(4, 3, padding="same", activation="relu", name="conv")(inputs)
    x = layers.BatchNormalization(name="norm")(x)
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    shortcut = layers.Flatten(name="flat")(inputs)
    x = layers.Concatenate(name="both")([x, shortcut])
    outputs = layers.Dense(3, activation="softmax", name="class")(x)
    return keras.Model(inputs, outputs, name="small_net")


def main():
    keras.utils.set_random_seed(27)
    x = np.random.default_rng(27).normal(size=(8, 8, 8, 1)).astype("float32")
    model = make_model()
    clone = keras.models.clone_model(model)
    assert clone is not model and [v.name for v in clone.layers] == [v.name for v in model.layers]
    assert not np.allclose(clone.predict(x, verbose=0), model.predict(x, verbose=0))
    clone.set_weights(model.get_weights())
    expected = model.predict(x, verbose=0)
    np.testing.assert_allclose(clone.predict(x, verbose=0), expected, rtol=1e-5)

    before = [w.copy() for w in model.get_weights()]
    clone.compile("sgd", "sparse_categorical_crossentropy")
    clone.fit(x, np.arange(8) % 3, epochs=1, verbose=0)
    for a, b in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert any(np.any(a != b) for a, b in zip(before, clone.get_weights(), strict=True))

    from_config = keras.Model.from_config(model.get_config())
    from_json = keras.models.model_from_json(model.to_json())
    for copy in (from_config, from_json):
        copy.set_weights(before)
        np.testing.assert_allclose(copy.predict(x, verbose=0), expected, rtol=1e-5)

    conv = model.get_layer("conv")
    kernel, bias = conv.get_weights()
    assert kernel.shape == (3, 3, 1, 4) and bias.shape == (4,)
    conv.set_weights([np.zeros_like(kernel), bias + 1])
    assert float(conv.bias.numpy().sum()) == 4.0
    try:
        conv.set_weights([kernel])
    except ValueError:
        conv.set_weights([kernel, bias])
    else:
        raise AssertionError("One array does not fill two weights.")

    lines = []
    model.summary(print_fn=lambda line, **kwargs: lines.append(line), line_length=100)
    text = os.linesep.join(lines)
    for part in ("small_net", "conv (Conv2D)", "(None, 8, 8, 4)", "norm", "Total params: 263"):
        assert part in text, part
    assert "Non-trainable params: 8" in text and "Trainable params: 255" in text
    assert model.count_params() == 263
    assert [w.path for w in model.trainable_weights][:2] == ["conv/kernel", "conv/bias"]

    def wider(layer):
        if isinstance(layer, layers.Dense):
            return layers.Dense(5, name="wider")
        return layer.__class__.from_config(layer.get_config())

    changed = keras.models.clone_model(model, clone_function=wider)
    assert changed.output_shape == (None, 5)
    tensor = keras.Input(shape=(8, 8, 1), batch_size=2)
    assert keras.models.clone_model(model, input_tensors=tensor).output_shape == (2, 3)
    return {"expected": expected, "parameters": model.count_params()}
