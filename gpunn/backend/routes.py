"""Routes: several CUDA ways to compute one kernel, of which the fastest is taken for each input.

A route has the protocol of `Kernel.cuda`, a `name`, and, if it was changed since it was first
published, a `version`: times of another version do not count. Which one is the fastest depends on
shapes, dtypes and the card, so it is measured: once, and kept in a file (`gpunn.backend.choices`).
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from gpunn import config
from gpunn.backend import devices
from gpunn.backend.protocol import Array
from gpunn.backend.thread import local

if TYPE_CHECKING:
    from gpunn.backend.choices import Choices
    from gpunn.backend.kernel import Kernel

_LAUNCHES = 3  # that are timed, after one which compiles


class Route(Protocol):
    """One way to compute a kernel; NotImplemented, before any launch, where it does not apply."""

    name: str

    def __call__(self, kernel: Kernel, arrays: tuple, options: dict) -> Any: ...


def milliseconds(cupy: Any, launch: Callable[[], Any]) -> float:
    """The time of one launch on the device, the best of a few, by CUDA events."""
    cuda = cupy.cuda
    start, end, stream = cuda.Event(), cuda.Event(), cuda.get_current_stream()
    best = float("inf")
    for _ in range(_LAUNCHES):
        start.record(stream)
        launch()
        end.record(stream)
        end.synchronize()
        best = min(best, cuda.get_elapsed_time(start, end))
    return best


class Fastest:
    """The `cuda=` of a kernel with several routes; their order is the choice without timing.

    On the first call with a key (shapes, dtypes, options, device, precision of products) every
    route that applies is run and timed. So only kernels that overwrite all they write may use it:
    one that adds to an array would add several times. While a stream is captured, and with
    `gpunn.config.set_route_timing(False)`, nothing is timed: the first route that applies computes,
    if no choice is remembered. The same route always computes the same bits; two routes may round
    differently.

    >>> @kernel(cuda=Fastest(pointwise, implicit, columns), examples=examples)
    """

    def __init__(self, *routes: Route):
        self.routes = {route.name: route for route in routes}
        if len(self.routes) != len(routes) or not routes:
            names = [route.name for route in routes]
            raise ValueError(f"Fastest takes routes with names of their own, received {names}.")
        #: Changes with the routes: choices among others do not count.
        self.stamp = ", ".join(f"{r.name} {getattr(r, 'version', 1)}" for r in routes)
        self.chosen: dict[tuple, Route] = {}
        everyone.append(self)

    def __call__(self, kernel: Kernel, arrays: tuple, options: dict) -> Any:
        recorder, local.recorder = local.recorder, None  # it knows the kernel, not its route's
        try:
            return self._compute(kernel, arrays, options)
        finally:
            local.recorder = recorder

    def _compute(self, kernel: Kernel, arrays: tuple, options: dict) -> Any:
        if not config.route_timing():
            return self._first(kernel, arrays, options)
        ordinal = next(a.device.id for a in arrays if a is not None)
        key = (
            id(devices.opened.cupy), ordinal, *_settings(), *options.items(),
            *(a if a is None else (a.shape, a.dtype.char, a.flags.c_contiguous) for a in arrays),
        )  # fmt: skip
        route = self.chosen.get(key)
        if route is None:
            route = self._choose(key, kernel, arrays, options)
        if route is not None and route(kernel, arrays, options) is not NotImplemented:
            return None
        return self._first(kernel, arrays, options)

    def _first(self, kernel: Kernel, arrays: tuple, options: dict) -> Any:
        for route in self.routes.values():
            if route(kernel, arrays, options) is not NotImplemented:
                return None
        return NotImplemented

    def _choose(self, key: tuple, kernel: Kernel, arrays: tuple, options: dict) -> Route | None:
        """The remembered or the fastest route; None where none is known and none may be timed."""
        cupy, ordinal = devices.opened.cupy, key[1]
        with _lock:
            choices = choices_of(ordinal)
            text = described(arrays, options)
            name = choices.get(kernel.name, self.stamp, text)
            if name not in self.routes:
                if is_capturing(cupy):
                    return None
                name = self._timed(cupy, kernel, arrays, options)
                if name is None:
                    return None
                choices.put(kernel.name, self.stamp, text, name)
            self.chosen[key] = self.routes[name]
        return self.routes[name]

    def _timed(self, cupy: Any, kernel: Kernel, arrays: tuple, options: dict) -> str | None:
        """The name of the fastest route.

        The memory that it takes is given back: a recording's own pool does not grow by what other
        routes need.
        """
        pool = cupy.cuda.MemoryPool()
        times: dict[str, float] = {}
        try:
            with cupy.cuda.using_allocator(pool.malloc):
                for name, route in self.routes.items():
                    try:
                        if route(kernel, arrays, options) is not NotImplemented:
                            times[name] = clock(cupy, partial(route, kernel, arrays, options))
                    except MemoryError:  # CuPy's, too: others need less
                        continue
        finally:
            pool.free_all_blocks()
        return min(times, key=lambda name: times[name]) if times else None


#: What times a launch; tests put other clocks here.
clock: Callable[[Any, Callable[[], Any]], float] = milliseconds
everyone: list[Fastest] = []
_lock = threading.RLock()  # one timing at a time; a route may contain a kernel with routes
_opened: dict[tuple[int, int], Choices] = {}


def is_capturing(cupy: Any) -> bool:
    """Whether the current stream notes its work instead of doing it."""
    stream = cupy.cuda.get_current_stream()
    return bool(stream.ptr) and stream.is_capturing()  # the default stream cannot be captured


def choices_of(ordinal: int) -> Choices:
    """The choices that are remembered for the GPU with this number."""
    from gpunn.backend.choices import Choices

    cupy = devices.gpu(ordinal).xp
    if (id(cupy), ordinal) not in _opened:
        runtime = cupy.cuda.runtime
        properties = runtime.getDeviceProperties(ordinal)
        device = f"{properties['name'].decode()} {properties['major']}.{properties['minor']}"
        software = f"CuPy {cupy.__version__}, CUDA {runtime.runtimeGetVersion()}"
        _opened[id(cupy), ordinal] = Choices(device, software)
    return _opened[id(cupy), ordinal]


def described(arrays: tuple, options: dict) -> str:
    """The key of a choice in the file: plain text."""
    parts = ["-" if a is None else _kind(a) for a in arrays]
    parts += [f"{name}={value!r}" for name, value in sorted(options.items())]
    precision, workspace = _settings()
    return "; ".join([*parts, f"precision={precision}", f"workspace={workspace}"])


def _kind(array: Array) -> str:
    layout = "" if array.flags.c_contiguous else " strided"
    return f"{array.dtype.name}{list(array.shape)}{layout}"


def _settings() -> tuple[str, int]:
    """What times depend on besides inputs and device."""
    return config.matmul_precision(), config.conv_workspace()


def routes_of(kernel: Kernel) -> list[Route]:
    """The routes of a kernel that has several, else none."""
    return list(kernel.cuda.routes.values()) if isinstance(kernel.cuda, Fastest) else []


def forget() -> None:
    """Forget the choices in memory; those in the files are read again when one is needed."""
    with _lock:
        _opened.clear()
        for routes in everyone:
            routes.chosen.clear()
