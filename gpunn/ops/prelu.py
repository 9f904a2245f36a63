"""PReLU: a rectifier whose slope below zero is learned."""

from __future__ import annotations

from typing import Any

from gpunn.autodiff.op import Joint, op
from gpunn.backend.cuda import elementwise
from gpunn.backend.devices import empty, empty_like
from gpunn.backend.kernel import kernel
from gpunn.backend.protocol import Array
from gpunn.ops.examples import broadcasting, normal, unwritten
from gpunn.ops.reduce import sum_to
from gpunn.ops.rules import broadcast, result_dtype


@kernel(
    cuda=elementwise("T x, T alpha -> T out", "out = x > T(0) ? x : T(alpha * x)"),
    examples=broadcasting(),
)
def prelu_forward(xp: Any, x: Array, alpha: Array, out: Array) -> None:
    """out = x if x > 0, else alpha · x"""
    xp.copyto(out, xp.where(x > 0, x, alpha * x))


def _prelu_examples(rng: Any, dtype: str) -> Any:
    for shape in ((0, 3), (5, 33)):
        x, dy = normal(rng, shape, dtype), normal(rng, shape, dtype)
        alpha = normal(rng, shape[1:], dtype)
        yield (x, alpha, dy, unwritten(shape, dtype), unwritten(shape, dtype)), {}


@kernel(
    cuda=elementwise(
        "T x, T alpha, T dy -> T dx, T dalpha",
        "dx = x > T(0) ? dy : T(alpha * dy); dalpha = x > T(0) ? T(0) : T(x * dy)",
    ),
    examples=_prelu_examples,
)
def prelu_backward(xp: Any, x: Array, alpha: Array, dy: Array, dx: Array, dalpha: Array) -> None:
    """dx = f'(x) · dy; dalpha = min(x, 0) · dy, for each element of x"""
    xp.copyto(dx, xp.where(x > 0, dy, alpha * dy))
    xp.multiply(xp.minimum(x, 0), dy, out=dalpha)


@op(shape=broadcast("prelu"), promotes="common")
def prelu(x: Array, alpha: Array) -> Any:
    """y = x if x > 0, else alpha · x, with a learned alpha that broadcasts.  arXiv:1502.01852"""
    y = empty(broadcast("prelu")(x, alpha).shape, result_dtype(x, alpha), x)
    prelu_forward(x, alpha, y)

    def gradient(dy: Array, needed: tuple[bool, bool]) -> tuple:
        dx, dalpha = empty_like(dy), empty_like(dy)
        prelu_backward(x, alpha, dy, dx, dalpha)
        return sum_to(dx, x.shape), sum_to(dalpha, alpha.shape)

    return y, Joint(gradient)
