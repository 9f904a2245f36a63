"""The choice between routes of a kernel: by times, from the file, and where nothing is timed."""

import json
import os
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from gpunn import __main__ as command_line
from gpunn import config
from gpunn.backend import choices, devices, routes
from gpunn.backend.choices import Choices
from gpunn.backend.routes import Fastest
from gpunn.backend.thread import local

KERNEL = SimpleNamespace(name="some_kernel")


class Route:
    """Applies to arrays of up to `longest` elements; says how often it was called."""

    def __init__(self, name, milliseconds=1.0, longest=100, version=1, action=None):
        self.name, self.milliseconds, self.longest = name, milliseconds, longest
        self.version, self.action = version, action
        self.calls = 0

    def __call__(self, kernel, arrays, options):
        assert kernel is KERNEL
        if arrays[0].size > self.longest:
            return NotImplemented
        self.calls += 1
        if self.action is not None:
            self.action()
        return None


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """A cache of the test's own, and timing as users have it."""
    monkeypatch.setenv("GPUNN_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(routes, "everyone", [])
    before = config.route_timing(), config.matmul_precision(), config.conv_workspace()
    config.set_route_timing(True)
    routes.forget()
    yield tmp_path / "cache"
    routes.forget()
    config.set_route_timing(before[0])
    config.set_matmul_precision(before[1])
    config.set_conv_workspace(before[2])


@pytest.fixture
def timed(monkeypatch):
    """The names of the routes that were timed; a launch takes what its route says."""
    names = []

    def clock(cupy, launch):
        names.append(launch.func.name)
        launch()
        return launch.func.milliseconds

    monkeypatch.setattr(routes, "clock", clock)
    return names


@pytest.fixture
def gpu(simulated_gpu):
    return devices.gpu()


def call(fastest, gpu, n=4, **options):
    """Which route computed it at the end, None: nobody"""
    before = {name: route.calls for name, route in fastest.routes.items()}
    x = gpu.zeros((n,), "float32")
    result = fastest(KERNEL, (x, None, gpu.empty((n,), "float32")), options)
    after = {name: route.calls for name, route in fastest.routes.items()}
    assert (result is NotImplemented) == (before == after)
    return [name for name in after if after[name] > before[name]]


def three():
    return Fastest(Route("slow", 3.0), Route("fast", 1.0, longest=10), Route("middling", 2.0))


# --- the choice ---


def test_the_fastest_is_taken_and_remembered(gpu, timed):
    fastest = three()
    call(fastest, gpu)
    assert timed == ["slow", "fast", "middling"]
    assert [call(fastest, gpu) for _ in range(3)] == [["fast"]] * 3
    assert len(timed) == 3


def test_each_route_is_warmed_up_before_it_is_timed(gpu, timed):
    fastest = three()
    call(fastest, gpu)
    assert [r.calls for r in fastest.routes.values()] == [2, 3, 2]  # the chosen one runs once more


def test_other_inputs_are_timed_anew(gpu, timed):
    fastest = three()
    call(fastest, gpu)
    for change in ({"n": 5}, {"relu": True}, {"n": 50}):
        timed.clear()
        call(fastest, gpu, **change)
        assert timed == (["slow", "middling"] if change == {"n": 50} else list(fastest.routes))
    assert call(fastest, gpu, n=50) == ["middling"]


def test_settings_on_which_times_depend_are_part_of_the_key(gpu, timed):
    fastest = three()
    call(fastest, gpu)
    config.set_matmul_precision("high")
    call(fastest, gpu)
    config.set_conv_workspace(1000)
    call(fastest, gpu)
    assert len(timed) == 9


def test_layouts_are_part_of_the_key(gpu, timed):
    fastest, x = three(), gpu.zeros((4, 2), "float32")
    for array in (x, gpu.zeros((2, 4), "float32").T):
        fastest(KERNEL, (array,), {})
    assert len(timed) == 6


def test_no_route_applies(gpu, timed):
    fastest = three()
    assert call(fastest, gpu, n=200) == [] and timed == []


def test_a_route_that_lacks_memory_is_left_out(gpu, timed):
    def too_much():
        raise MemoryError

    fastest = Fastest(Route("large", 1.0, action=too_much), Route("small", 2.0))
    call(fastest, gpu)
    assert call(fastest, gpu) == ["small"] and timed == ["small"]


def test_errors_of_a_route_are_not_hidden(gpu, timed):
    fastest = Fastest(Route("broken", action=lambda: 1 / 0), Route("sound"))
    with pytest.raises(ZeroDivisionError):
        call(fastest, gpu)


def test_routes_must_have_names_of_their_own():
    for wrong in ([], [Route("a"), Route("a")]):
        with pytest.raises(ValueError, match=r"names of their own, received \[.*\]"):
            Fastest(*wrong)


def test_events_time_the_best_of_three_launches(gpu, monkeypatch):
    times = iter([3.0, 1.0, 2.0])
    monkeypatch.setattr(gpu.xp.cuda, "get_elapsed_time", lambda start, end: next(times))
    launched = []
    assert routes.milliseconds(gpu.xp, lambda: launched.append(1)) == 1.0
    assert len(launched) == 3


def test_without_timing_the_first_that_applies_is_taken(gpu, timed):
    fastest = three()
    call(fastest, gpu)
    config.set_route_timing(False)
    timed.clear()
    assert call(fastest, gpu) == ["slow"] and call(fastest, gpu, n=7) == ["slow"]
    other = Fastest(Route("short", longest=3), Route("long"))
    assert call(other, gpu) == ["long"] and timed == []


@pytest.mark.parametrize("value", ["0", 1, None])
def test_route_timing_is_true_or_false(value):
    with pytest.raises(ValueError, match="must be True or False, received"):
        config.set_route_timing(value)


# --- while something is recorded ---


def test_nothing_is_timed_while_a_stream_is_captured(gpu, timed):
    fastest = three()
    call(fastest, gpu)
    timed.clear()
    x, out = gpu.zeros((5,), "float32"), gpu.empty((5,), "float32")
    with gpu.xp.cuda.Stream(non_blocking=True) as stream:
        stream.begin_capture()
        assert call(fastest, gpu) == ["fast"]  # remembered
        before = [r.calls for r in fastest.routes.values()]
        fastest(KERNEL, (x, None, out), {})  # unknown
        stream.end_capture()
    assert [r.calls for r in fastest.routes.values()] == [before[0] + 1, *before[1:]]
    assert timed == []
    fastest(KERNEL, (x, None, out), {})
    assert timed == list(fastest.routes)  # what was taken while capturing is no choice


def test_timing_uses_memory_of_its_own_and_no_recorder_listens(gpu, timed):
    heard, xp = [], gpu.xp
    pool = xp.cuda.MemoryPool()

    def work():
        heard.append(local.recorder)
        xp.empty(1000, "float32")

    fastest = Fastest(Route("first", 2.0, action=work), Route("second", 1.0))
    with xp.cuda.using_allocator(pool.malloc):
        local.recorder = object()
        try:
            arrays = xp.zeros(3, "float32"), xp.empty(3, "float32")
            used = pool.total_bytes()
            fastest(KERNEL, arrays, {})
        finally:
            kept, local.recorder = local.recorder, None
    assert heard == [None, None] and kept is not None
    assert pool.total_bytes() == used


# --- the file ---


def the_file(folder):
    (path,) = folder.glob("*")
    return path


def choose_anew(gpu, timed, *more):
    """Routes of a new process: what was timed, and who is taken in the end"""
    routes.forget()
    timed.clear()
    fastest = more[0] if more else three()
    call(fastest, gpu)
    return list(timed), call(fastest, gpu)


ALL = ["slow", "fast", "middling"]


def test_choices_are_found_again(gpu, timed, folder):
    assert choose_anew(gpu, timed) == (ALL, ["fast"])
    assert choose_anew(gpu, timed) == ([], ["fast"])
    content = json.loads(the_file(folder).read_text())
    assert content["device"] == "Simulated GPU 9.0" and content["software"].startswith("gpunn ")
    assert the_file(folder).name == "routes-simulated-gpu-9-0.json"
    assert list(content["kernels"]["some_kernel"]["choices"].values()) == ["fast"]


def test_a_choice_of_the_file_counts_although_times_changed(gpu, timed, folder):
    choose_anew(gpu, timed)
    path = the_file(folder)
    path.write_text(path.read_text().replace('"fast"', '"slow"'))
    assert choose_anew(gpu, timed) == ([], ["slow"])


def test_other_routes_and_other_versions_are_timed_anew(gpu, timed, folder):
    choose_anew(gpu, timed)
    newer = Fastest(Route("slow", 3.0), Route("fast", 1.0, version=2), Route("middling", 2.0))
    assert choose_anew(gpu, timed, newer) == (ALL, ["fast"])
    assert choose_anew(gpu, timed, Fastest(Route("slow"), Route("new", 0.5)))[0] == ["slow", "new"]


@pytest.mark.parametrize("change", [("gpunn ", "gpunn 9"), ("GPU 9.0", "GPU 8.0")])
def test_files_of_other_software_and_devices_are_ignored(gpu, timed, folder, change):
    choose_anew(gpu, timed)
    path = the_file(folder)
    path.write_text(path.read_text().replace(*change).replace('"fast"', '"slow"'))
    assert choose_anew(gpu, timed) == (ALL, ["fast"])
    assert choose_anew(gpu, timed) == ([], ["fast"])


DAMAGED = {
    "empty": b"", "half": None, "binary": b"\xff\x00\xfe", "a list": b"[1, 2]",
    "a number": b"1e999",
    "nested": b"[" * 200_000, "long number": b'{"device": ' + b"9" * 10_000 + b"}",
    "too long": b" " * (9 << 20),
}  # fmt: skip


@pytest.mark.parametrize("kind", DAMAGED)
def test_damaged_files_are_ignored_and_replaced(gpu, timed, folder, kind):
    choose_anew(gpu, timed)
    path = the_file(folder)
    path.write_bytes(DAMAGED[kind] if DAMAGED[kind] is not None else path.read_bytes()[:200])
    assert choose_anew(gpu, timed) == (ALL, ["fast"])
    assert choose_anew(gpu, timed) == ([], ["fast"])


HOSTILE = [
    "__import__('os').system('true')", "", "implicit", 7, None, True, ["fast"], {"fast": 1},
    "x" * 5000,
]  # fmt: skip


@pytest.mark.parametrize("value", HOSTILE, ids=lambda v: repr(v)[:12])
def test_a_choice_is_the_name_of_a_route_or_nothing(gpu, timed, folder, value):
    choose_anew(gpu, timed)
    path = the_file(folder)
    content = json.loads(path.read_text())
    found = content["kernels"]["some_kernel"]["choices"]
    found.update(dict.fromkeys(found, value))
    path.write_text(json.dumps(content))
    assert choose_anew(gpu, timed) == (ALL, ["fast"])


@pytest.mark.parametrize("where", ["kernels", "some_kernel", "routes", "choices"])
@pytest.mark.parametrize("value", [None, 3, "text", ["text"]])
def test_wrong_types_are_ignored(gpu, timed, folder, where, value):
    choose_anew(gpu, timed)
    path = the_file(folder)
    content = json.loads(path.read_text())
    place = {"kernels": content, "some_kernel": content["kernels"]}
    place.get(where, content["kernels"]["some_kernel"])[where] = value
    path.write_text(json.dumps(content))
    assert choose_anew(gpu, timed) == (ALL, ["fast"])
    assert choose_anew(gpu, timed) == ([], ["fast"])


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_pipe_in_the_place_of_the_file_is_not_read(gpu, timed, folder):
    choose_anew(gpu, timed)
    path = the_file(folder)
    path.unlink()
    os.mkfifo(path)
    assert choose_anew(gpu, timed) == (ALL, ["fast"])


def test_a_folder_that_cannot_be_made_is_no_error(gpu, timed, folder, monkeypatch):
    folder.write_text("a file where the folder should be")
    monkeypatch.setenv("GPUNN_CACHE_DIR", str(folder / "inner"))
    assert choose_anew(gpu, timed) == (ALL, ["fast"])
    assert choose_anew(gpu, timed) == (ALL, ["fast"])
    assert folder.is_file()


def test_a_file_that_cannot_be_replaced_leaves_nothing_behind(gpu, timed, folder):
    choose_anew(gpu, timed)
    path = the_file(folder)
    path.unlink()
    (path / "inner").mkdir(parents=True)
    assert choose_anew(gpu, timed) == (ALL, ["fast"])
    assert the_file(folder) == path and path.is_dir()


def test_a_full_disk_is_no_error(gpu, timed, folder, monkeypatch):
    def full(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    assert choose_anew(gpu, timed) == (ALL, ["fast"])
    assert list(folder.glob("*")) == []


def test_processes_keep_the_choices_of_each_other():
    one, other = Choices("A card 1.0", "software"), Choices("A card 1.0", "software")
    one.put("k", "r 1", "x", "a")
    other.put("k", "r 1", "y", "b")
    other.put("l", "r 1", "x", "c")
    one.put("k", "r 1", "z", "a")
    third = Choices("A card 1.0", "software")
    assert len(third) == 4
    assert [third.get("k", "r 1", i) for i in "xyz"] == ["a", "b", "a"]
    assert third.get("l", "r 1", "x") == "c"
    assert third.get("k", "r 2", "x") is third.get("k", "r 1", "w") is None
    assert len(Choices("B card 1.0", "software")) == 0


def test_old_choices_make_place_for_new_ones(monkeypatch):
    monkeypatch.setattr(choices, "_MOST", 3)
    kept = Choices("A card", "software")
    for i in range(5):
        kept.put("k", "r", str(i), "a")
    assert len(kept) == 3 and kept.get("k", "r", "1") is None and kept.get("k", "r", "2") == "a"


PLATFORMS = {
    ("linux", "XDG_CACHE_HOME"): "given/gpunn", ("linux", None): "home/.cache/gpunn",
    ("darwin", None): "home/Library/Caches/gpunn", ("win32", "LOCALAPPDATA"): "given/gpunn",
    ("win32", None): "home/AppData/Local/gpunn",
}  # fmt: skip


@pytest.mark.parametrize(("platform", "variable"), PLATFORMS)
def test_the_folder_is_the_platforms_own(platform, variable, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setattr(os.path, "expanduser", lambda path: str(tmp_path / "home"))
    for name in ("GPUNN_CACHE_DIR", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    if variable:
        monkeypatch.setenv(variable, str(tmp_path / "given"))
    assert choices.cache_folder() == tmp_path / PLATFORMS[platform, variable]


def test_without_a_home_it_is_the_folder_for_temporary_files(monkeypatch):
    monkeypatch.delenv("GPUNN_CACHE_DIR")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    assert choices.cache_folder().is_absolute()


def test_tests_do_not_write_into_the_users_folder():
    home = Path(os.path.expanduser("~"))
    assert home / ".cache" not in choices.cache_folder().parents


def test_info_says_where_the_choices_are(gpu, timed, monkeypatch, capsys, folder):
    monkeypatch.setenv("COLUMNS", "300")
    choose_anew(gpu, timed)
    assert command_line.info() == 0
    assert f"1 choices in {the_file(folder)}" in capsys.readouterr().out
