"""Parts of a kernel on several threads: every part once, errors, settings, nesting, forks."""

import os
import signal
import sys
import threading
import time

import numpy as np
import pytest

from gpunn.backend import blas, threads


@pytest.fixture(autouse=True)
def three(monkeypatch):
    """Three threads, whatever the machine has."""
    monkeypatch.setattr(blas, "threads", lambda: 3)
    monkeypatch.setattr(blas, "set_threads", lambda n: None)


@pytest.mark.parametrize("n", [0, 1, 2, 3, 10])
def test_every_part_once_in_order(n):
    parts = threads.parallel(np, lambda part: np.arange(n)[part], n)
    assert len(parts) == max(1, min(n, 3))
    assert np.concatenate(parts).tolist() == list(range(n))


def test_parts_run_at_the_same_time():
    meeting = threading.Barrier(3, timeout=20)  # breaks if one waits for another to end
    names = threads.parallel(np, lambda _: (meeting.wait(), threading.current_thread())[1], 3)
    assert len(set(names)) == 3 and names[0] is threading.current_thread()


def test_another_array_library_has_one_part():
    assert threads.parallel(None, lambda part: part, 5) == [slice(0, 5)]


def test_a_part_in_a_part_is_not_divided():
    inner = threads.parallel(np, lambda _: threads.parallel(np, lambda part: part, 9), 3)
    assert inner == [[slice(0, 9)]] * 3


@pytest.mark.parametrize("failing", [0, 2])
def test_an_error_reaches_the_caller_once_all_have_ended(failing):
    ended = []

    def work(part):
        if part.start == failing:
            raise ValueError("part")
        ended.append(part.start)

    with pytest.raises(ValueError, match="part"):
        threads.parallel(np, work, 3)
    assert sorted(ended) == sorted({0, 1, 2} - {failing})
    assert len(threads.parallel(np, lambda part: part, 3)) == 3  # and the threads serve on


def test_the_callers_error_state_holds_in_each_part():
    def work(part):
        return np.float32(1e38) * np.full(4, 1e38, "float32")[part]

    with np.errstate(over="raise"), pytest.raises(FloatingPointError):
        threads.parallel(np, lambda part: None if part.start == 0 else work(part), 3)
    with np.errstate(over="ignore"):
        assert np.isinf(np.concatenate(threads.parallel(np, work, 3))).all()


def test_blas_keeps_to_one_thread_inside_and_is_set_back(monkeypatch):
    now = [3]
    monkeypatch.setattr(blas, "threads", lambda: now[0])
    monkeypatch.setattr(blas, "set_threads", lambda n: now.__setitem__(0, n))
    assert threads.parallel(np, lambda _: now[0], 2) == [1, 1]
    assert now == [3]
    with pytest.raises(ZeroDivisionError):
        threads.parallel(np, lambda _: 1 / 0, 3)
    assert now == [3]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_forked_process_has_threads_of_its_own():
    threads.parallel(np, lambda part: part, 3)
    child = os.fork()
    if child == 0:
        os._exit(0 if len(threads.parallel(np, lambda part: part, 3)) == 3 else 1)
    assert os.waitpid(child, 0)[1] == 0


@pytest.mark.skipif(sys.platform == "darwin", reason="Accelerate does not say")
def test_numpys_library_says_how_many_threads_it_takes(monkeypatch):
    monkeypatch.undo()
    before = blas.threads()
    assert before >= 1
    try:
        blas.set_threads(1)
        assert blas.threads() == 1
    finally:
        blas.set_threads(before)
    assert blas.threads() == before


@pytest.mark.skipif(sys.platform == "win32", reason="Windows does not interrupt a lock")
def test_ctrl_c_waits_for_the_other_parts():
    """Twice while the first part is through already, and the others still write."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    ended, started = [], threading.Barrier(3, timeout=20)

    def work(part):
        started.wait()
        if part.start == 0:
            return
        for _ in range(2):
            time.sleep(0.1)
            if part.start == 1:
                os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.1)
        ended.append(part.start)

    try:
        with pytest.raises(KeyboardInterrupt):
            threads.parallel(np, work, 3)
        assert sorted(ended) == [1, 2]
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_step_whose_kernels_share_work_takes_blas_threads_from_its_second_run_on(monkeypatch):
    now = [3]
    monkeypatch.setattr(blas, "threads", lambda: now[0])
    monkeypatch.setattr(blas, "set_threads", lambda n: now.__setitem__(0, n))
    products = [], []

    def product():
        threads.parallel_products(np, lambda part: products[now[0] == 1].append(part), 9)

    def sharing():
        product()
        threads.parallel(np, lambda part: part, 9)
        return "done"

    alone = threads.Sharing()
    for _ in range(2):
        alone.run(product)
    assert products == ([slice(0, 9)] * 2, [])  # BLAS has its threads, and the product is whole
    products[0].clear()
    step = threads.Sharing()
    assert step.run(sharing) == "done" and products == ([slice(0, 9)], [])
    assert step.run(sharing) == "done" and now == [3]
    assert sorted(products[1], key=lambda part: part.start) == [
        slice(0, 3), slice(3, 6), slice(6, 9),
    ]  # fmt: skip
    with pytest.raises(ZeroDivisionError):
        step.run(lambda: 1 / 0)
    assert now == [3]
