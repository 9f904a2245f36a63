"""The functions of `keras.ops.nn` and `keras.ops.image`, with the same arguments in both."""

import os

os.environ.setdefault("KERAS_BACKEND", "jax")

import inspect

import numpy as np
import pytest

import gpunn
from gpunn import ops
from gpunn.autodiff.symbolic import SymbolicTensor
from tests.ops.cases_ctc import probabilities

keras = pytest.importorskip("keras")

RNG = np.random.default_rng(0)


def normal(*shape):
    return RNG.standard_normal(shape).astype("float32")


def positive(*shape):
    return RNG.uniform(0.05, 1.0, shape).astype("float32")


def integers(high, *shape):
    return RNG.integers(0, high, shape).astype("int32")


X = normal(2, 6, 8, 3)
FIRST = np.moveaxis(X, -1, 1).copy()
RGB = positive(2, 4, 5, 3)
P, T = positive(3, 4), positive(3, 4)
LABELS = integers(4, 3)
Q, K, V = normal(2, 5, 4, 8), normal(2, 6, 2, 8), normal(2, 6, 2, 8)
MASK = RNG.uniform(size=(2, 1, 5, 6)) < 0.7
LOGITS = normal(3, 7, 5)
START = np.array([[0, 0], [0, 6], [8, 0], [8, 6]], "float32")
END = np.array([[1, 0.5], [0.3, 5], [7, -1], [7.7, 6.2]], "float32")
LAST = {"data_format": "channels_last"}  # Keras on JAX and torch takes None for channels_first

CASES = [
    ("nn.binary_crossentropy", (T, P), {}),
    ("nn.binary_crossentropy", (T, P * 9 - 4), {"from_logits": True}),
    ("nn.categorical_crossentropy", (T, P), {}),
    ("nn.categorical_crossentropy", (T, P), {"from_logits": True, "axis": 0}),
    ("nn.sparse_categorical_crossentropy", (LABELS, P), {}),
    ("nn.sparse_categorical_crossentropy", (LABELS[:, None], P), {"from_logits": True}),
    ("nn.ctc_loss", (integers(4, 3, 2), LOGITS, [2, 1, 2], [7, 5, 6]), {"mask_index": 4}),
    ("nn.ctc_decode", (LOGITS, [7, 5, 3]), {}),
    ("nn.ctc_decode", (LOGITS, [7, 5, 3]), {"merge_repeated": False, "mask_index": 4}),
    ("nn.dot_product_attention", (Q, K, V), {}),
    ("nn.dot_product_attention", (Q, K, V), {"is_causal": True, "scale": 0.7}),
    ("nn.dot_product_attention", (Q, K, V), {"mask": MASK, "bias": normal(4, 1, 6)}),
    ("nn.glu", (normal(3, 4, 5),), {"axis": 1}),
    ("nn.unfold", (FIRST, 3), {}),
    ("nn.unfold", (FIRST, (2, 3)), {"dilation": (2, 1), "padding": (1, 2), "stride": (1, 2)}),
    ("nn.fold", (normal(2, 8, 4), 4, 2), {"stride": 2}),
    (
        "nn.fold",
        (normal(2, 6, 15), (6, 5), (1, 3)),
        {"padding": (0, 2), "stride": (2, 1), "dilation": 2},
    ),
    ("nn.depth_to_space", (normal(2, 3, 2, 12), 2), {}),
    ("nn.depth_to_space", (normal(2, 12, 3, 2), 2), {"data_format": "channels_first"}),
    ("nn.space_to_depth", (X, 2), {}),
    ("nn.space_to_depth", (FIRST, 2), {"data_format": "channels_first"}),
    ("nn.psnr", (X, X + 0.5), {"max_val": 2.0}),
    ("nn.normalize", (X,), {"axis": (1, 2)}),
    ("nn.normalize", (X * 1e-9,), {"order": 3}),
    ("nn.threshold", (X, 0.3, -2.0), {}),
    ("nn.one_hot", (LABELS, 5), {"axis": 0, "dtype": "int32"}),
    ("nn.multi_hot", (integers(4, 3, 2), 5), {}),
    ("image.rgb_to_hsv", (RGB,), {}),
    ("image.rgb_to_hsv", (np.array([[[0, 0, 0], [1, 1, 1], [1, 0, 1], [0, 1, 1]]], "float32"),),
     {}),
    ("image.hsv_to_rgb", (RGB,), {}),
    ("image.hsv_to_rgb", (np.moveaxis(RGB, -1, 1),), {"data_format": "channels_first"}),
    ("image.extract_patches", (X, 3), {}),
    ("image.extract_patches", (X, (2, 3)), {"strides": 1, "dilation_rate": 2, "padding": "same"}),
    ("image.extract_patches", (FIRST[0], 2), {"data_format": "channels_first"}),
    ("image.extract_patches", (X, (1, 2, 2)), {"strides": 1}),
    ("image.extract_patches_3d", (normal(2, 4, 5, 6, 2), 2), {"padding": "same"}),
    ("image.gaussian_blur", (X, (3, 5), (1.0, 2.0)), LAST),
    ("image.gaussian_blur", (X[0], (4, 3), (0.7, 2.0)), LAST),
    ("image.gaussian_blur", (FIRST,), {"data_format": "channels_first"}),
    ("image.sobel_edges", (X,), {}),
    ("image.sobel_edges", (FIRST,), {"data_format": "channels_first"}),
    ("image.sobel_edges", (integers(99, 1, 4, 5, 2),), {}),
    ("image.ssim", (RGB, RGB[::-1]), {"filter_size": 3}),
    ("image.ssim", (RGB[0], RGB[1]), {"filter_size": 3, "max_val": 2.0, "k1": 0.1}),
    ("image.map_coordinates", (X[0], RNG.uniform(-3, 9, (3, 4, 5)), 0), {"fill_value": 7.0}),
    ("image.map_coordinates", (X[0], RNG.uniform(-3, 9, (3, 20)), 1), {}),
    ("image.map_coordinates", (integers(99, 6), np.linspace(-1, 7, 30)[None], 1), {}),
    *(
        ("image.map_coordinates", (X[0, 0], RNG.uniform(-20, 20, (2, 40)), order),
         {"fill_mode": mode})
        for mode, order in (("nearest", 1), ("wrap", 0), ("mirror", 1), ("reflect", 0))
    ),
    (
        "image.perspective_transform",
        (X, np.stack([START, END]), np.stack([END, START])),
        {"fill_value": 2.0},
    ),
    *(
        (
            "image.scale_and_translate",
            (X, (2, 5, 11, 3), [0.6, 1.3], [0.4, -1.5], (1, 2), method),
            {"antialias": method != "linear"},
        )
        for method in ("linear", "lanczos3")
    ),
    (
        "image.scale_and_translate",
        (np.arange(9).reshape(3, 3).astype("float32"), (5, 5), [2.0, 2.0], [-0.5, -0.5], (0, 1),
         "bilinear"),
        {},
    ),
]  # fmt: skip


def arrays(y):
    return [np.asarray(part) for part in (y if isinstance(y, tuple) else (y,))]


def called(module, name, args, options):
    space, function = name.split(".")
    return getattr(getattr(module.ops, space), function)(*args, **options)


@pytest.mark.parametrize(
    ("name", "args", "options"), CASES, ids=lambda v: v if type(v) is str else ""
)
def test_as_keras(name, args, options):
    received = arrays(called(gpunn, name, args, options))
    on_keras = [np.asarray(a) if isinstance(a, list) and "translate" in name else a for a in args]
    on_keras = [
        a.astype("float32") if getattr(a, "dtype", "") == "float64" else a for a in on_keras
    ]
    if name.startswith("nn.ctc"):
        on_keras = [np.array(a) for a in args]
    expected = arrays(called(keras, name, on_keras, options))
    assert len(received) == len(expected)
    for y, wanted in zip(received, expected, strict=True):
        assert y.shape == wanted.shape
        assert y.dtype == wanted.dtype
        np.testing.assert_allclose(y, wanted, rtol=2e-4, atol=2e-5)


@pytest.mark.parametrize("space", ["nn", "image"])
def test_the_namespaces_are_complete_and_take_the_same_arguments(space):
    theirs, ours = getattr(keras.ops, space), getattr(ops, space)
    names = [n for n in dir(theirs) if n[0] != "_" and callable(getattr(theirs, n))]
    assert len(names) in (55, 16)
    for name in names:
        expected = list(inspect.signature(getattr(theirs, name)).parameters)
        received = list(inspect.signature(getattr(ours, name)).parameters)
        received = [p for p in received if p in expected] + ["kwargs"] * ("kwargs" in expected)
        assert received == expected, name


ERRORS = [
    (lambda: ops.binary_crossentropy(T, P[0]), "target and output need the same shape"),
    (lambda: ops.categorical_crossentropy(T[:2], P), "target and output need the same shape"),
    (lambda: ops.sparse_categorical_crossentropy(LABELS[:2], P), "targets do not fit"),
    (lambda: ops.ctc_loss(LABELS, LOGITS, [1], [1]), "ctc_loss: expected output .N, T, classes."),
    (lambda: ops.ctc_loss(LABELS[:, None], LOGITS, LABELS, LABELS, 5), "one of the 5 classes"),
    (lambda: ops.ctc_loss(LABELS[:, None], LOGITS[:, :0], LABELS, LABELS), "there are no steps"),
    (lambda: ops.ctc_decode(LOGITS, [1, 2]), "ctc_decode: expected inputs .N, T, classes."),
    (lambda: ops.ctc_decode(LOGITS, LABELS, "beam_serch"), "strategy.*Did you mean 'beam_search'"),
    (lambda: ops.ctc_decode(LOGITS, LABELS, "beam_search", 2, 3), "top_paths must be from 1 to"),
    (lambda: ops.ctc_decode(LOGITS, LABELS, mask_index=5), "mask_index must be one of the 5"),
    (lambda: ops.ctc_decode(SYMBOL[0], [1] * 6, "beam_search"), "takes no symbolic tensors"),
    (lambda: ops.dot_product_attention(Q, K, V, flash_attention=True), "flash_attention=True is"),
    (lambda: ops.dot_product_attention(Q[0], K, V), "have rank 4"),
    (lambda: ops.dot_product_attention(Q[:, :, :3], K, V), "N must be a multiple of K"),
    (lambda: ops.dot_product_attention(Q, K, V, mask=MASK[:, :, :3]), "do not broadcast"),
    (lambda: ops.dot_product_attention(Q, K, V, bias=np.ones((5, 2, 4, 5, 6))), "bias must broad"),
    (lambda: ops.glu(X), "must have an even length along axis -1"),
    (lambda: ops.depth_to_space(X, 2), "the number of channels must be a known multiple of 4"),
    (lambda: ops.depth_to_space(X, 1), "block_size must be at least 2, received 1"),
    (lambda: ops.space_to_depth(X, 5), "the height must be a known multiple of 5"),
    (lambda: ops.space_to_depth(X[0], 2), "must have rank 4"),
    (lambda: ops.unfold(X[0], 2), "x must be .N, C, H, W."),
    (lambda: ops.unfold(X, 0), "kernel_size must be an integer of at least 1"),
    (lambda: ops.unfold(SymbolicTensor((1, 2, None, 3)), 2), "height and width must be known"),
    (lambda: ops.fold(X[0], (4, 4), 3), "fold: x must be .N, C·9, 4. for the 2 x 2 windows"),
    (lambda: ops.polar(T, P), "gpunn has no complex numbers"),
    (lambda: ops.psnr(T, P[0], 1.0), "the signals need the same shape"),
    (lambda: ops.one_hot(LABELS, 3, sparse=True), "one_hot: sparse=True is not supported"),
    (lambda: ops.multi_hot(LABELS, 3, sparse=True), "multi_hot: sparse=True is not supported"),
    (lambda: ops.moments(X, 0, synchronized=True), "synchronized"),
    (lambda: ops.image.rgb_to_hsv(X[..., :2]), "and 3 channels; received"),
    (lambda: ops.image.hsv_to_rgb(X.astype("uint8")), "must be floats from 0 to 1, received uint8"),
    (lambda: ops.image.extract_patches(X, (1, 2, 3, 4)), "an integer, or two or three"),
    (lambda: ops.image.extract_patches(X[0, 0], 2), "rank 3 .one. or 4 .a batch."),
    (lambda: ops.image.extract_patches(X, 2, 2, 2), "cannot both be greater than 1"),
    (lambda: ops.image.gaussian_blur(X[0, 0]), "rank 3 .one image. or 4"),
    (lambda: ops.image.sobel_edges(X[0]), "must be a batch of rank 4"),
    (lambda: ops.image.ssim(X, X), "windows of 11 x 11 do not fit"),
    (lambda: ops.image.ssim(X, X[:1]), "the images need the same shape"),
    (lambda: ops.image.map_coordinates(X, X, 2), "order must be 0 or 1, received 2"),
    (lambda: ops.image.map_coordinates(X, X, 1), "one row for each axis"),
    (lambda: ops.image.map_coordinates(X, X, 1, "mirrored"), "Did you mean 'mirror'"),
    (lambda: ops.image.elastic_transform(X, interpolation="linear"), "Unknown interpolation"),
    (lambda: ops.image.elastic_transform(X, fill_mode="reflekt"), "Did you mean 'reflect'"),
    (lambda: ops.image.perspective_transform(X, END[:3], END), "start_points must be .N, 4, 2."),
    (
        lambda: ops.image.scale_and_translate(X, X.shape, [1.0], [0.0], (1,), "linea"),
        "method of scale_and_translate.*Did you mean 'linear'",
    ),
    (
        lambda: ops.image.scale_and_translate(X, X.shape, [1.0], [0.0, 1.0], (1,), "linear"),
        "scale and translation one number for each",
    ),
]


@pytest.mark.parametrize("number", range(len(ERRORS)))
def test_errors(number):
    call, message = ERRORS[number]
    with pytest.raises((ValueError, TypeError, NotImplementedError), match=message):
        call()


SYMBOL = SymbolicTensor((None, 6, 8, 3), "float32")
SHAPES = [
    (lambda: ops.binary_crossentropy(SYMBOL, SYMBOL), (None, 6, 8, 3)),
    (lambda: ops.categorical_crossentropy(SYMBOL, SYMBOL, axis=1), (None, 8, 3)),
    (lambda: ops.depth_to_space(SymbolicTensor((None, 6, 8, 4)), 2), (None, 12, 16, 1)),
    (lambda: ops.space_to_depth(SYMBOL, 2), (None, 3, 4, 12)),
    (lambda: ops.unfold(SYMBOL, 3), (None, 54, 6)),
    (lambda: ops.fold(SymbolicTensor((None, 8, 4)), 4, 2, stride=2), (None, 2, 4, 4)),
    (lambda: ops.image.extract_patches(SymbolicTensor((None, None, 8, 3)), 2), (None, None, 4, 12)),
    (lambda: ops.image.gaussian_blur(SYMBOL), (None, 6, 8, 3)),
    (lambda: ops.image.sobel_edges(SYMBOL), (None, 6, 8, 3, 2)),
    (lambda: ops.image.ssim(SYMBOL, SYMBOL, filter_size=3), (None,)),
    (lambda: ops.image.rgb_to_hsv(SYMBOL), (None, 6, 8, 3)),
    (lambda: ops.image.elastic_transform(SYMBOL), (None, 6, 8, 3)),
    (lambda: ops.image.perspective_transform(SYMBOL, START, END), (None, 6, 8, 3)),
    (
        lambda: ops.image.scale_and_translate(
            SYMBOL, (None, 4, 4, 3), [1.0, 1.0], [0.0, 0.0], (1, 2), "linear"
        ),
        (None, 4, 4, 3),
    ),
    (lambda: ops.ctc_decode(SYMBOL[:, :, 0], [3, 4])[0], (1, None, 6)),
]  # fmt: skip


@pytest.mark.parametrize("number", range(len(SHAPES)))
def test_symbolic(number):
    call, expected = SHAPES[number]
    assert call().shape == expected


# --- gradients, in float64 ---


def differences(function, x, h=1e-6):
    out = np.zeros(x.shape)
    for index in np.ndindex(x.shape):
        up, down = x.copy(), x.copy()
        up[index] += h
        down[index] -= h
        out[index] = (float(function(up)) - float(function(down))) / (2 * h)
    return out


WIDE = RNG.uniform(0.1, 0.9, (3, 4, 3))
COORDINATES = RNG.uniform(0.1, 1.8, (3, 5))
SCALED = {"method": "cubic", "spatial_dims": (0,), "output_shape": (5, 4, 3)}
GRADIENTS = {
    "binary_crossentropy": lambda x: ops.binary_crossentropy(WIDE, x),
    "binary_crossentropy, targets": lambda x: ops.binary_crossentropy(x, WIDE),
    "categorical_crossentropy": lambda x: ops.categorical_crossentropy(WIDE, x, axis=1),
    "categorical_crossentropy, targets": lambda x: ops.categorical_crossentropy(x, WIDE, True),
    "dot_product_attention": lambda x: ops.dot_product_attention(x[None], WIDE[None], x[None]),
    "psnr": lambda x: ops.psnr(x, WIDE[::-1], 1.0),
    "rgb_to_hsv": ops.image.rgb_to_hsv,
    "hsv_to_rgb": ops.image.hsv_to_rgb,
    "gaussian_blur": ops.image.gaussian_blur,
    "ssim": lambda x: ops.image.ssim(x, WIDE[::-1].copy(), filter_size=3),
    "map_coordinates": lambda x: ops.image.map_coordinates(x, COORDINATES, 1),
    "map_coordinates, places": lambda x: ops.image.map_coordinates(WIDE, x * 1.9, 1),
    "scale_and_translate": lambda x: ops.image.scale_and_translate(
        x, scale=[1.6], translation=[0.3], **SCALED
    ),
    "scale_and_translate, scale": lambda x: ops.image.scale_and_translate(
        WIDE, scale=x[0, 0, :1] + 1.0, translation=x[0, 0, 1:2], **SCALED
    ),
}


@pytest.mark.parametrize("name", GRADIENTS)
def test_gradients(name):
    x = RNG.uniform(0.15, 0.85, (3, 4, 3))
    weights = RNG.standard_normal(np.shape(GRADIENTS[name](x)))
    scalar = lambda v: ops.sum(GRADIENTS[name](ops.convert_to_tensor(v)) * weights)
    np.testing.assert_allclose(
        gpunn.grad(scalar)(x).numpy(), differences(scalar, x), rtol=2e-5, atol=1e-7
    )


def test_ctc_gradients_as_torch():
    torch = pytest.importorskip("torch")
    x, labels = RNG.normal(size=(3, 9, 5)), np.array([[1, 1, 3], [4, 2, 4], [3, 3, 3]])
    lengths, steps, weights = [3, 2, 3], [9, 7, 5], np.array([1.0, -0.5, 2.0])
    theirs = torch.tensor(x, requires_grad=True)
    losses = torch.nn.functional.ctc_loss(
        theirs.log_softmax(-1).transpose(0, 1), torch.tensor(labels), steps, lengths,
        reduction="none",
    )  # fmt: skip
    (losses * torch.tensor(weights)).sum().backward()

    def scalar(v):
        return ops.sum(ops.ctc_loss(labels, v, lengths, steps) * weights)

    np.testing.assert_allclose(ops.ctc_loss(labels, x, lengths, steps), losses.detach(), rtol=1e-12)
    np.testing.assert_allclose(gpunn.grad(scalar)(x).numpy(), theirs.grad, rtol=1e-9, atol=1e-12)


def test_ctc_of_labels_that_do_not_fit():
    """Three equal labels need five steps: probability 0, and nothing to learn."""
    function = lambda x: ops.sum(ops.ctc_loss([[1, 1, 1]], x, [3], [4]))
    assert float(function(LOGITS[:1])) == np.inf
    assert not gpunn.grad(function)(LOGITS[:1]).numpy().any()


def test_beam_search_finds_the_most_likely_labels():
    """With room for all sequences of labels: what a walk through all paths finds."""
    x, lengths = RNG.normal(size=(3, 4, 3)), [4, 3, 1]
    labels, scores = ops.ctc_decode(x, lengths, "beam_search", 100, 3, mask_index=1)
    assert (labels.shape, labels.dtype, scores.shape) == ((3, 3, 4), "int32", (3, 3))
    for i, length in enumerate(lengths):
        found = probabilities(x[i, :length].tolist(), blank=1)
        best = sorted(found, key=found.get, reverse=True)[:3]
        assert [tuple(k for k in row if k >= 0) for row in labels[:, i].tolist()] == best
        np.testing.assert_allclose(scores[i], [np.log(found[k]) for k in best], rtol=1e-9)
    narrow = ops.ctc_decode(x, lengths, "beam_search", 2, mask_index=1)
    assert (narrow[1].numpy()[:, 0] <= scores.numpy()[:, 0] + 1e-9).all()


def test_soft_cap_of_attention():
    """With a cap c that is small, the scores are ±c at most: nearly equal weights."""
    y = ops.dot_product_attention(Q * 99, K, V, attn_logits_soft_cap=1e-4).numpy()
    means = np.repeat(V.mean(1), 2, axis=1)[:, None]
    np.testing.assert_allclose(y, np.broadcast_to(means, y.shape), rtol=1e-2, atol=1e-3)


def test_elastic_transform():
    x = RNG.uniform(size=(2, 20, 24, 3)).astype("float32")
    np.testing.assert_allclose(ops.image.elastic_transform(x, alpha=0.0), x, atol=1e-6)
    y = ops.image.elastic_transform(x, 3.0, 2.0, seed=1).numpy()
    np.testing.assert_array_equal(ops.image.elastic_transform(x, 3.0, 2.0, seed=1), y)
    assert (ops.image.elastic_transform(x, 3.0, 2.0, seed=2).numpy() != y).any()
    columns = np.broadcast_to(np.arange(24.0), (1, 20, 24))[..., None]  # x itself shows its moves
    moved = ops.image.elastic_transform(columns, 3.0, 2.0, fill_mode="nearest", seed=3).numpy()
    moves = (moved - columns)[:, 5:-5, 8:-8]
    assert 0.1 < np.abs(moves).mean() < 4  # 3 · 2 / (2 σ √π) = 0.85 expected
    assert np.abs(np.diff(moves, axis=1)).mean() < np.abs(moves).mean()  # it is smooth
    first = np.moveaxis(x, -1, 1)
    z = ops.image.elastic_transform(first, 3.0, 2.0, seed=1, data_format="channels_first").numpy()
    np.testing.assert_allclose(np.moveaxis(z, 1, -1), y, atol=1e-6)
    assert ops.image.elastic_transform((x[0] * 255).astype("uint8"), seed=1).dtype == "uint8"
