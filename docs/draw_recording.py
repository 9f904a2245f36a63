"""Draws recording.svg for how-a-step-is-recorded.md: `python docs/draw_recording.py [path]`.

The lifetimes in the picture's second part are those of a real recording on the CPU.
"""

from __future__ import annotations

import sys
from itertools import pairwise
from math import prod
from pathlib import Path
from typing import Any
from unittest.mock import patch

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, Rectangle

import gpunn
from gpunn.backend.buffers import BufferPool
from gpunn.backend.thread import local

INK, PALE, LINE = "#1b2a3a", "#5f6f80", "#d5dbe1"
EAGER, RECORD, REPLAY = "#fbe3c4", "#cfe3f7", "#cdeccd"
FIRST = {(32, 64): "#9cc4ec", (32, 10): "#f4c27a"}  # colours by shape; small ones are grey
AGAIN = {(32, 64): "#4a86c5", (32, 10): "#c97b1c"}

STEPS = [("step 1", "eager"), ("step 2", "recorded"), ("step 3", "recorded again"),
         ("steps 4, 5, 6, …", "replayed")]  # fmt: skip
COLUMNS = [(0.62, 2.0), (2.77, 2.2), (5.12, 2.35), (7.62, 2.33)]  # left, width
WARM_UP = """Python runs the model
and makes what is
made lazily: weights,
optimizer slots,
metrics' states"""
CPU = ["""recording A:
kernels, options, addresses;
temporaries from an arena""", """recording B: equal to A?
Then its calls, with their
arrays, are the program""", """for call in calls:
    call()"""]  # fmt: skip
GPU = [
    """recording A:
kernels are compiled,
a private pool fills""",
    """recording B: equal to A?
Then CUDA may capture
the next step""",
    """capture once,
graph.launch()""",
]
EAGER_FROM_NOW = """A and B differ, or a value was read on the host:
all further steps run eagerly, after one warning that says why"""
BEFORE = """first: batch into the fixed inputs,
actions of before_replays"""


Area = tuple[float, float, float, float]  # left, bottom, width, height


def box(ax: Any, area: Area, text: str, color: str, **style: Any) -> None:
    """A rounded box with its text in the middle."""
    x, y, w, h = area
    shape = "round,pad=0,rounding_size=0.06"
    ax.add_patch(FancyBboxPatch((x, y), w, h, shape, fc=color, ec=INK, lw=0.8))
    ax.text(x + w / 2, y + h / 2, text, ha="center", va="center", **{"size": 9, **style})


def arrow(ax: Any, start: tuple[float, float], end: tuple[float, float]) -> None:
    """From one point to another."""
    look = {"arrowstyle": "-|>", "color": INK, "lw": 1.1, "shrinkA": 0, "shrinkB": 0}
    ax.annotate("", end, start, arrowprops=look)


def draw_steps(ax: Any) -> None:
    """What runs in the first three steps, and what afterwards."""
    ax.set(xlim=(0, 10), ylim=(0, 3.55))
    cpu, gpu, height = 1.92, 0.72, 1.03
    middle = {"ha": "center", "va": "center"}
    for (x, w), (step, work) in zip(COLUMNS, STEPS, strict=True):
        ax.text(x + w / 2, 3.36, step, size=11, weight="bold", **middle)
        ax.text(x + w / 2, 3.1, work, size=9.5, color=PALE, **middle)
    x, w = COLUMNS[0]
    box(ax, (x, gpu, w, cpu + height - gpu), WARM_UP, EAGER)
    for y, name, texts in ((cpu, "CPU", CPU), (gpu, "GPU", GPU)):
        ax.text(0.27, y + height / 2, name, size=11, weight="bold", **middle)
        for (x, w), text in zip(COLUMNS[1:], texts, strict=True):
            last = text is texts[-1]
            style: dict[str, Any] = {"family": "monospace", "size": 10} if last else {}
            box(ax, (x, y, w, height), text, REPLAY if last else RECORD, **style)
        for (x, w), (after, _) in pairwise(COLUMNS):
            arrow(ax, (x + w, y + height / 2), (after, y + height / 2))
    ax.text(5.12, 0.36, EAGER_FROM_NOW, size=9, color=PALE, **middle)
    x, w = COLUMNS[3]
    ax.text(x + w / 2, 0.36, BEFORE, size=9, color=PALE, **middle)


def lifetimes() -> tuple[list[str], list[tuple[int, int, int, tuple]]]:
    """Kernels of a recorded training step, and (birth, death, address, shape) of temporaries."""
    born: dict[int, tuple[int, tuple]] = {}
    lives: list[tuple[int, int, int, tuple]] = []
    lend, take_back = BufferPool.lend, BufferPool.take_back

    def noting_lend(pool: BufferPool, shape: tuple, dtype: np.dtype, nbytes: int) -> np.ndarray:
        array = lend(pool, shape, dtype, nbytes)
        if local.recorder is not None:
            born[array.ctypes.data] = len(local.recorder.calls), shape
        return array

    def noting_take_back(pool: BufferPool, memory: np.ndarray) -> None:
        take_back(pool, memory)
        if local.recorder is not None and memory.ctypes.data in born:
            birth, shape = born.pop(memory.ctypes.data)
            lives.append((birth, len(local.recorder.calls), memory.ctypes.data, shape))

    gpunn.device("cpu").use()
    dense = gpunn.layers.Dense
    model = gpunn.Sequential([*(dense(64, "relu") for _ in range(3)), dense(10)])
    model.compile("sgd", "mse")
    x, y = np.ones((32, 64), "float32"), np.ones((32, 10), "float32")
    for _ in range(2):
        model.train_on_batch(x, y)
    with (
        patch.object(BufferPool, "lend", noting_lend),
        patch.object(BufferPool, "take_back", noting_take_back),
    ):
        model.train_on_batch(x, y)
    (step,) = model.step.recordings["train"].steps.values()
    if step.program is None:
        raise RuntimeError(f"The step was not recorded: {step.problem}.")
    return [kernel.name for kernel, _, _ in step.program.calls], sorted(lives)


def draw_arena(ax: Any) -> None:
    """Each place of the arena, and which temporary is there while which kernel runs."""
    kernels, lives = lifetimes()
    places: dict[int, int] = {}
    for birth, death, address, shape in lives:
        again = address in places
        y = places.setdefault(address, len(places))
        color = (AGAIN if again else FIRST).get(shape, "#c9ced4")
        ax.add_patch(Rectangle((birth, y + 0.12), death - birth, 0.76, fc=color, ec=INK, lw=0.6))
        if (death - birth) * prod(shape) > 64:
            style = {"color": "white", "weight": "bold"} if again else {}
            middle = (birth + death) / 2
            ax.text(middle, y + 0.52, str(shape), ha="center", va="center", size=8, **style)
    ax.set(xlim=(0, len(kernels)), ylim=(len(places), 0))
    ax.set_xticks(np.arange(len(kernels)) + 0.5, kernels, rotation=90, size=8, family="monospace")
    ax.set_yticks(np.arange(len(places)) + 0.5, range(1, len(places) + 1), size=8)
    ax.tick_params(length=0)
    ax.set_ylabel("place in the arena", size=9)
    ax.spines[["top", "right"]].set_visible(False)
    title = f"CPU: {len(lives)} temporaries in {len(places)} places"
    ax.set_title(title, size=11, weight="bold", loc="left")
    ax.set_title("dark: memory used again", size=9, color=PALE, loc="right")


def draw_streams(ax: Any) -> None:
    """Two replays on the GPU: the second batch is uploaded while the first graph runs."""
    ax.set(xlim=(-0.05, 10.05), ylim=(0.5, 8.4))
    ax.set_title("GPU: two replays, in time", size=11, weight="bold", loc="left")
    host, copies, caller, graph = 7.5, 5.4, 3.3, 1.2
    for y, name, at, side in (
        (host, "host", 10, "right"), (copies, "stream for copies", 10, "right"),
        (caller, "caller's stream", 0, "left"), (graph, "graph's own stream", 0, "left"),
    ):  # fmt: skip
        ax.plot([0, 10], [y, y], color=LINE, lw=1, zorder=0)
        white = {"fc": "white", "ec": "none", "pad": 2}
        ax.text(at, y, name, ha=side, va="center", size=9, color=PALE, bbox=white)
    for start, end, y, text, color in (
        (0.0, 1.6, host, "fill\npinned A", EAGER),
        (1.6, 3.0, copies, "upload\nA", EAGER),
        (3.0, 4.2, caller, "x ← A", EAGER),
        (4.2, 7.0, graph, "graph: step 4", REPLAY),
        (2.3, 3.9, host, "fill\npinned B", RECORD),
        (3.9, 5.3, copies, "upload\nB", RECORD),
        (7.0, 8.2, caller, "x ← B", RECORD),
        (8.2, 10.0, graph, "step 5", REPLAY),
    ):
        box(ax, (start, y - 0.5, end - start, 1.0), text, color, size=8.5)
    for x, upper, to, lower in (
        (1.45, host, 1.75, copies), (2.85, copies, 3.15, caller), (4.05, caller, 4.35, graph),
        (3.75, host, 4.05, copies), (5.15, copies, 7.15, caller), (8.05, caller, 8.35, graph),
    ):  # fmt: skip
        arrow(ax, (x, upper - 0.5), (to, lower + 0.5))
    arrow(ax, (6.85, graph + 0.5), (7.35, caller - 0.5))


def main() -> None:
    """Write recording.svg beside this file, or the picture to the path that is given."""
    mpl.rcParams.update({
        "svg.fonttype": "none", "svg.hashsalt": "gpunn", "text.color": INK,
        "font.sans-serif": ["DejaVu Sans", "Verdana", "Arial", "sans-serif"],
        "font.monospace": ["DejaVu Sans Mono", "Menlo", "Consolas", "monospace"],
        "xtick.color": INK, "ytick.color": INK, "axes.labelcolor": INK,
    })  # fmt: skip
    figure = Figure(figsize=(10, 8.2), facecolor="white")
    steps = figure.add_axes((0.01, 0.55, 0.98, 0.44))
    draw_steps(steps)
    draw_arena(figure.add_axes((0.06, 0.15, 0.50, 0.345)))
    streams = figure.add_axes((0.59, 0.02, 0.40, 0.475))
    draw_streams(streams)
    for ax in (steps, streams):
        ax.axis("off")
    target = sys.argv[1] if len(sys.argv) > 1 else Path(__file__).with_name("recording.svg")
    figure.savefig(target, metadata={"Date": None} if str(target).endswith("svg") else None)


if __name__ == "__main__":
    main()
