"""Writes docs/ops.md: every function of gpunn.ops, what it computes, whether it differentiates and
what computes it on a GPU. All is read off the functions: docstrings, and one call of each.

    python docs/make_ops.py
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from gpunn import GradientTape, ops
from gpunn.backend import devices
from gpunn.backend.kernel import Kernel
from gpunn.structure import leaves

TARGET = Path(__file__).parent / "ops.md"
SPACES = {
    "numpy": "as `keras.ops.numpy`; all are `gpunn.ops.<name>`, too",
    "nn": "as `keras.ops.nn`; all are `gpunn.ops.<name>`, too",
    "linalg": "as `keras.ops.linalg`; all are `gpunn.ops.<name>`, too",
    "image": "as `keras.ops.image`: `gpunn.ops.image.<name>`",
    "core": "in `gpunn.ops` alone",
}

HEAD = """# The functions of gpunn.ops

Written by `python docs/make_ops.py` from the functions themselves; do not edit it. The names,
arguments and defaults are those of `keras.ops` (see [keras-differences.md](keras-differences.md));
x and y are tensors, arrays, numbers, or symbolic tensors of a model.

- **gradient**: yes; 0 where it is 0 wherever it exists; nothing where there is none.
- **GPU**: CUDA if kernels of gpunn compute it there, CuPy if its functions do, or both; nothing
  where nothing is computed, or only on the host. On the CPU it is NumPy."""

X = np.array(
    [[0.9, 0.1, 0.3, 0.2], [0.1, 0.8, 0.15, 0.25], [0.3, 0.15, 0.95, 0.05], [0.2, 0.25, 0.05, 0.7]],
    "float32",
)
I = np.array([[1, 2, 0, 3], [3, 1, 2, 0], [0, 1, 1, 2], [2, 2, 3, 1]], "int32")  # noqa: E741
IDS = np.array([0, 1, 1, 2], "int32")


def batch(x: Any, channels: int = 1) -> Any:
    """x as an image (1, 4, 4, channels)."""
    return ops.stack([x] * channels, -1)[None]


#: How a function is called that does not take just x, or x and another one: f(x, ...).
CALLS: dict[str, Callable[[Any, Any], Any]] = {
    "adaptive_average_pool": lambda f, x: f(batch(x), 2),
    "adaptive_max_pool": lambda f, x: f(batch(x), 2),
    "affine_transform": lambda f, x: f(batch(x), np.eye(1, 8, dtype="float32")),
    "arange": lambda f, x: f(3),
    "argpartition": lambda f, x: f(x, 2),
    "array_split": lambda f, x: f(x, 2),
    "associative_scan": lambda f, x: f(ops.add, x),
    "average_pool": lambda f, x: f(batch(x), 2),
    "bartlett": lambda f, x: f(4),
    "batch_normalization": lambda f, x: f(x, x[0], x[1], -1),
    "bincount": lambda f, x: f(IDS, weights=x[0]),
    "blackman": lambda f, x: f(4),
    "broadcast_to": lambda f, x: f(x, (2, 4, 4)),
    "cast": lambda f, x: f(x, "float16"),
    "clip": lambda f, x: f(x, 0.1, 0.8),
    "cond": lambda f, x: f(True, lambda: x * 2, lambda: x),
    "conv": lambda f, x: f(batch(x), np.ones((2, 2, 1, 1), "float32")),
    "conv_transpose": lambda f, x: f(batch(x), np.ones((2, 2, 1, 1), "float32"), 2),
    "correlate": lambda f, x: f(x[0], x[1]),
    "crop_images": lambda f, x: f(batch(x), 1, 1, target_height=2, target_width=2),
    "cross": lambda f, x: f(x[:, :3], x[:, 1:]),
    "ctc_decode": lambda f, x: f(x[None], [4]),
    "ctc_loss": lambda f, x: f(IDS[None, :2], x[None], [2], [4]),
    "custom_gradient": lambda f, x: f(lambda v: (v * 2, lambda dy: dy * 2))(x),
    "depth_to_space": lambda f, x: f(batch(x, 4), 2),
    "depthwise_conv": lambda f, x: f(batch(x), np.ones((2, 2, 1, 1), "float32")),
    "diagflat": lambda f, x: f(x[0]),
    "digitize": lambda f, x: f(x, [0.2, 0.5]),
    "dot_product_attention": lambda f, x: f(*[batch(x)] * 3),
    "dsplit": lambda f, x: f(batch(x), 2),
    "einsum": lambda f, x: f("ij,jk", x, x),
    "elastic_transform": lambda f, x: f(batch(x), seed=1),
    "empty": lambda f, x: f((2, 2)),
    "expand_dims": lambda f, x: f(x, 0),
    "extract_patches": lambda f, x: f(batch(x), 2),
    "extract_patches_3d": lambda f, x: f(ops.reshape(ops.stack([x] * 4), (1, 4, 4, 4, 1)), 2),
    "extract_sequences": lambda f, x: f(x, 2, 1),
    "eye": lambda f, x: f(3),
    "fft": lambda f, x: f((x, x)),
    "fft2": lambda f, x: f((x, x)),
    "fold": lambda f, x: f(ops.reshape(x, (1, 4, 4)), 4, 2, stride=2),
    "fori_loop": lambda f, x: f(0, 2, lambda i, v: v * 2, x),
    "full": lambda f, x: f((2,), 1.0),
    "full_like": lambda f, x: f(x, 1.0),
    "gaussian_blur": lambda f, x: f(batch(x)),
    "geomspace": lambda f, x: f(x[0, 0], x[0, 1], 3),
    "get_item": lambda f, x: f(x, 1),
    "hamming": lambda f, x: f(4),
    "hanning": lambda f, x: f(4),
    "histogram": lambda f, x: f(x[0]),
    "hsplit": lambda f, x: f(x, 2),
    "hsv_to_rgb": lambda f, x: f(batch(x, 3)),
    "identity": lambda f, x: f(3),
    "ifft2": lambda f, x: f((x, x)),
    "in_top_k": lambda f, x: f(IDS, x, 2),
    "irfft": lambda f, x: f((x, x)),
    "istft": lambda f, x: f((x[:, :3], x[:, :3]), 4, 2, 4),
    "jvp": lambda f, x: f(ops.square, (x,), (x,)),
    "kaiser": lambda f, x: f(4, 2.0),
    "ldexp": lambda f, x: f(x, I),
    "linspace": lambda f, x: f(x[0], x[1], 3),
    "logspace": lambda f, x: f(x[0], x[1], 3),
    "map": lambda f, x: f(ops.square, x),
    "map_coordinates": lambda f, x: f(x, np.ones((2, 3), "float32") / 2, 1),
    "max_pool": lambda f, x: f(batch(x), 2),
    "meshgrid": lambda f, x: f(x[0], x[1]),
    "moments": lambda f, x: f(x, (0,)),
    "moveaxis": lambda f, x: f(x, 0, 1),
    "multi_hot": lambda f, x: f(I, 4),
    "nanpercentile": lambda f, x: f(x, 30.0),
    "nanquantile": lambda f, x: f(x, 0.3),
    "one_hot": lambda f, x: f(I, 4),
    "ones": lambda f, x: f((2,)),
    "pad": lambda f, x: f(x, 1),
    "pad_images": lambda f, x: f(batch(x), 1, 1, target_height=6, target_width=6),
    "percentile": lambda f, x: f(x, 30.0),
    "perspective_transform": lambda f, x: f(
        batch(x),
        np.array([[0, 0], [0, 3], [3, 0], [3, 3]], "float32"),
        np.array([[0, 0], [0, 2], [2, 0], [2, 2]], "float32"),
    ),
    "polar": lambda f, x: None,  # its results would be complex numbers
    "psnr": lambda f, x: f(x, x * 0.5, 1.0),
    "quantile": lambda f, x: f(x, 0.3),
    "rearrange": lambda f, x: f(x, "a b -> b a"),
    "repeat": lambda f, x: f(x, 2),
    "reshape": lambda f, x: f(x, (2, 8)),
    "resize": lambda f, x: f(batch(x), (3, 3)),
    "rgb_to_grayscale": lambda f, x: f(batch(x, 3)),
    "rgb_to_hsv": lambda f, x: f(ops.stack([x, x * 0.5, x * 0.3], -1)[None]),
    "roll": lambda f, x: f(x, 1),
    "saturate_cast": lambda f, x: f(x, "float16"),
    "scale_and_translate": lambda f, x: f(
        x, (4, 4), np.ones(2, "float32"), np.zeros(2, "float32"), (0, 1), "linear"
    ),
    "scan": lambda f, x: f(lambda carry, v: (carry + v, carry), x[0], x),
    "scatter": lambda f, x: f(IDS[:, None], x[0], (4,)),
    "scatter_update": lambda f, x: f(x, [[0, 1]], x[0, :1]),
    "searchsorted": lambda f, x: f(np.array([0.2, 0.5], "float32"), x[0]),
    "select": lambda f, x: f([I > 1], [x]),
    "separable_conv": lambda f, x: f(
        batch(x), np.ones((2, 2, 1, 1), "float32"), np.ones((1, 1, 1, 1), "float32")
    ),
    "slice": lambda f, x: f(x, [1, 1], [2, 2]),
    "slice_update": lambda f, x: f(x, [1, 1], x[:2, :2]),
    "sobel_edges": lambda f, x: f(batch(x)),
    "solve": lambda f, x: f(x, x[0]),
    "space_to_depth": lambda f, x: f(batch(x), 2),
    "sparse_categorical_crossentropy": lambda f, x: f(IDS, x),
    "split": lambda f, x: f(x, 2),
    "squeeze": lambda f, x: f(x[None]),
    "ssim": lambda f, x: f(batch(x), batch(x * 0.5), filter_size=3),
    "stft": lambda f, x: f(ops.ravel(x), 4, 2, 4),
    "swapaxes": lambda f, x: f(x, 0, 1),
    "switch": lambda f, x: f(1, [ops.square, ops.exp], x),
    "take": lambda f, x: f(x, IDS, 0),
    "take_along_axis": lambda f, x: f(x, I, 1),
    "tensordot": lambda f, x: f(x, x, 1),
    "threshold": lambda f, x: f(x, 0.2, 0.0),
    "tile": lambda f, x: f(x, 2),
    "top_k": lambda f, x: f(x, 2),
    "tri": lambda f, x: f(3),
    "unfold": lambda f, x: f(ops.reshape(x, (1, 1, 4, 4)), 2),
    "unravel_index": lambda f, x: f(IDS, (2, 2)),
    "vander": lambda f, x: f(x[0]),
    "vectorize": lambda f, x: f(ops.square)(x),
    "vectorized_map": lambda f, x: f(ops.square, x),
    "view_as_complex": lambda f, x: None,
    "view_as_real": lambda f, x: None,
    "vsplit": lambda f, x: f(x, 2),
    "where": lambda f, x: f(I > 1, x, 0.0),
    "while_loop": lambda f, x: f(lambda i, v: i < 2, lambda i, v: (i + 1, v * 2), (0, x))[1],
    "zeros": lambda f, x: f((2,)),
    **{
        name: lambda f, x: f(I, I)
        for name in ("bitwise_and", "bitwise_or", "bitwise_xor", "gcd", "lcm", "left_shift",
                     "right_shift", "bitwise_left_shift", "bitwise_right_shift")
    },
    **{name: lambda f, x: f(I) for name in ("bitwise_not", "bitwise_invert")},
    **{
        name: lambda f, x: f([x, x])
        for name in ("concatenate", "dstack", "hstack", "stack", "vstack")
    },
    **{f"segment_{name}": lambda f, x: f(x, IDS, 3) for name in ("max", "min", "prod", "sum")},
}  # fmt: skip


def called(name: str, function: Callable[..., Any], x: Any) -> Any:
    if name in CALLS:
        return CALLS[name](function, x)
    parameters = inspect.signature(function).parameters.values()
    needed = [p for p in parameters if p.default is p.empty and p.kind is not p.VAR_KEYWORD]
    return function(*[x, x * x + 0.2][: max(1, len(needed))])


def observed(name: str, function: Callable[..., Any]) -> tuple[str, str]:
    """Whether gradients flow through, and what computes on a GPU."""
    kernels: list[Kernel] = []

    @functools.wraps(function)
    def listened(*args: Any, **kwargs: Any) -> Any:
        with devices.cpu.recorder(None) as recorder:
            y = function(*args, **kwargs)
        kernels.extend(call[0] for call in recorder.calls)
        return y

    x = ops.convert_to_tensor(X)
    with np.errstate(all="ignore"):
        with GradientTape() as tape:
            tape.watch(x)
            out = [y for y in leaves(called(name, listened, x)) if getattr(y, "tracked", False)]
            total = sum((ops.sum(y * y * y) for y in out), 0.0)
        dx = tape.gradient(total, x) if out else None
    gradient = "" if dx is None else "yes" if dx.numpy().any() else "0"
    return gradient, on_gpus(kernels)


def on_gpus(kernels: list[Kernel]) -> str:
    own = {kernel.cuda is not None for kernel in kernels}
    return {(): "", (True,): "CUDA", (False,): "CuPy"}.get(tuple(own), "both")


def tables() -> Iterator[tuple[str, list[tuple[str, ...]]]]:
    """(namespace, [(name, first sentence of the docstring, gradient, GPU)])"""
    seen: set[str] = set()
    for space in SPACES:
        module = getattr(ops, space)
        public = [n for n, v in vars(module).items() if n[0] != "_" and callable(v)]
        names = getattr(module, "__all__", public)
        table = []
        for name in sorted(set(names) - seen):
            function = getattr(module, name)
            line = (inspect.getdoc(function) or "").split("\n\n")[0].replace("\n", " ")
            table.append((f"`{name}`", line.replace("|", "\\|"), *observed(name, function)))
        seen.update(names)
        yield space, table


def text() -> str:
    """The whole file."""
    parts = [HEAD]
    for space, table in tables():
        parts.append(f"\n## {space}: {len(table)} functions, {SPACES[space]}\n")
        rows = [("name", "what it computes", "gradient", "GPU"), ("---",) * 4, *table]
        parts += [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join(parts) + "\n"


if __name__ == "__main__":
    TARGET.write_text(text(), encoding="utf-8")
