"""The tape: which gradients flow where, what they share, and what stays in memory."""

from __future__ import annotations

import gc
import threading
import weakref

import numpy as np
import pytest

from gpunn import GradientTape, Variable, no_grad, ops
from gpunn.autodiff import tape as tape_module
from gpunn.autodiff.tensor import Tensor
from gpunn.errors import GradientError, ShapeError


def tensor(*values):
    return ops.convert_to_tensor(np.array(values, "float64"))


def watched(*values):
    return Tensor(np.array(values, "float64"), tracked=True)


# --- accumulation ---


def test_reuse_adds_up():
    x = watched(2.0, 3.0)
    with GradientTape() as tape:
        y = x * x + x + x
    assert tape.gradient(y, x).tolist() == [6, 8]


def test_a_gradient_that_is_shared_is_not_added_to_in_place():
    """x + y gives both the same gradient array; x gets more of it, y must not."""
    x, y = watched(1.0, 1.0), watched(1.0, 1.0)
    with GradientTape() as tape:
        early = x * 5.0
        z = x + y
        total = z * 2.0 + z * 3.0 + early
    dx, dy = tape.gradient(total, [x, y])
    assert (dx.tolist(), dy.tolist()) == ([10, 10], [5, 5])


def test_the_gradient_of_a_wanted_inner_tensor_stays_as_it_was():
    x = watched(1.0)
    with GradientTape() as tape:
        early = x * 7.0
        z = x + 0.0
        total = z * 2.0 + z * 3.0 + early
    dz, dx = tape.gradient(total, [z, x])
    assert (dz.tolist(), dx.tolist()) == ([5], [12])


def test_views_of_a_gradient_are_borrowed():
    """reshape passes on views of what came in."""
    x, w = watched(1.0, 2.0, 3.0, 4.0), watched(1.0, 1.0, 1.0, 1.0)
    with GradientTape() as tape:
        a = x * 10.0
        s = x + w
        y = ops.sum(ops.reshape(s, (2, 2)) * np.array([[1.0, 2.0], [3.0, 4.0]])) + ops.sum(a)
    dx, dw = tape.gradient(y, [x, w])
    assert (dx.tolist(), dw.tolist()) == ([11, 12, 13, 14], [1, 2, 3, 4])


def test_the_output_gradient_is_not_changed():
    x, seed = watched(1.0, 2.0), np.array([1.0, 1.0])
    with GradientTape() as tape:
        y = x + x + x
    tape.gradient(y, x, output_gradients=seed)
    assert seed.tolist() == [1, 1]


def test_random_graphs_against_forward_differences_in_many_orders():
    """Sums and products of random pairs of earlier values: all kinds of sharing."""
    rng = np.random.default_rng(0)
    for _ in range(30):
        plan = [(int(rng.integers(3)), *rng.integers(0, 3 + i, 2)) for i in range(12)]

        def run(values, plan=plan):
            values = list(values)
            for kind, i, j in plan:
                a, b = values[i], values[j]
                values.append(a + b if kind == 0 else a * b * 0.3 if kind == 1 else a - b)
            return values[-1] + values[-2]

        start = rng.normal(size=3)
        leaves = [watched(v) for v in start]
        with GradientTape() as tape:
            y = run(leaves)
        gradients = tape.gradient(y, leaves)
        for i, received in enumerate(gradients):
            step = np.zeros(3)
            step[i] = 1e-6
            expected = (run(start + step) - run(start - step)) / 2e-6
            value = 0.0 if received is None else received.item()
            assert value == pytest.approx(expected, rel=1e-5, abs=1e-6)


def test_diamonds():
    """2^20 paths, each counted, in 20 steps."""
    x = watched(1.0)
    with GradientTape() as tape:
        y = x
        for _ in range(20):
            y = y + y
    assert tape.gradient(y, x).item() == 2**20


# --- what is connected ---


def test_unconnected_sources_give_none():
    x, y = watched(1.0), watched(2.0)
    with GradientTape() as tape:
        z = x * 2.0
        ops.exp(y)
    assert [g and g.tolist() for g in tape.gradient(z, [x, y])] == [[2], None]


def test_an_unwatched_tensor_has_no_gradient():
    x = tensor(1.0)
    with GradientTape() as tape:
        y = x * 2.0
    assert tape.gradient(y, x) is None


def test_the_target_itself_and_containers():
    x = watched(1.0, 2.0)
    with GradientTape(persistent=True) as tape:
        y = x * 3.0
    assert tape.gradient(y, y).tolist() == [1, 1]
    assert isinstance(tape.gradient(y, (x,)), tuple) and isinstance(tape.gradient(y, [x]), list)
    assert tape.gradient(y, []) == []


def test_only_a_part_of_the_outputs_counts():
    x = watched(3.0)
    with GradientTape(persistent=True) as tape:
        a, b = x * x, x * 2.0
    assert (tape.gradient(a, x).item(), tape.gradient(b, x).item()) == (6, 2)


def test_no_gradient_through_integers_and_comparisons():
    x = watched(1.0, 2.0)
    with GradientTape(persistent=True) as tape:
        bits = x > 1.5
        counted = ops.sum(ops.cast(bits, "float64")) + ops.sum(
            ops.cast(ops.cast(x, "int32"), "float64")
        )
    assert not bits.tracked
    assert tape.gradient(counted, x) is None


def test_variables_are_watched_by_themselves_if_trainable():
    v, frozen = Variable([1.0]), Variable([1.0], trainable=False)
    counter = Variable([1], dtype="int32")
    with GradientTape() as tape:
        y = v * frozen * ops.cast(counter, "float32")
    assert [g and g.tolist() for g in tape.gradient(y, [v, frozen, counter])] == [[1], None, None]


# --- tapes ---


def test_persistent_tapes_give_the_same_twice():
    x = watched(2.0)
    with GradientTape(persistent=True) as tape:
        y = ops.exp(x) * x
    assert tape.gradient(y, x).tolist() == tape.gradient(y, x).tolist()


def test_other_tapes_give_one_gradient():
    x = watched(2.0)
    with GradientTape() as tape:
        y = x * x
    tape.gradient(y, x)
    with pytest.raises(GradientError, match=r"was taken already.*persistent=True"):
        tape.gradient(y, x)


def test_a_gradient_inside_a_tape_raises_and_works_afterwards():
    x = watched(2.0)
    with GradientTape() as tape:
        y = x * x
        with pytest.raises(GradientError, match=r"while a tape records.*after the `with` block"):
            tape.gradient(y, x)
    assert tape.gradient(y, x).tolist() == [4]


def test_a_bad_output_gradient_does_not_use_the_tape_up():
    x = watched(2.0, 3.0)
    with GradientTape() as tape:
        y = x * x
    with pytest.raises(ShapeError, match=r"output_gradients has shape \(3,\), the target \(2,\)"):
        tape.gradient(y, x, output_gradients=np.ones(3))
    assert tape.gradient(y, x, output_gradients=np.array([1.0, 10.0])).tolist() == [4, 60]


def test_two_tapes_and_nested_ones():
    x = tensor(3.0)
    with GradientTape() as outer:
        outer.watch(x)
        a = x * x
        with GradientTape() as inner:
            inner.watch(x)
            b = a * x
    assert inner.gradient(b, a).tolist() == [3]
    assert outer.gradient(b, x).tolist() == [27]


def test_two_tapes_watch_the_same_tensor():
    x = tensor(3.0)
    with GradientTape() as first, GradientTape() as second:
        first.watch(x)
        second.watch(x)
        y = x * x
    assert first.gradient(y, x).tolist() == second.gradient(y, x).tolist() == [6]


def test_watching_ends_with_the_gradient():
    x = tensor(3.0)
    with GradientTape() as tape:
        tape.watch([x])
        y = x * x
    tape.gradient(y, x)
    with GradientTape() as other:
        y = x * x
    assert other.gradient(y, x) is None


def test_a_tape_records_only_inside():
    x = watched(1.0)
    outside = x * 2.0
    with GradientTape() as tape:
        y = outside * 3.0
    assert tape.gradient(y, x) is None


def test_an_exception_ends_the_recording():
    with pytest.raises(ZeroDivisionError), GradientTape():
        raise ZeroDivisionError
    assert tape_module.state.tapes == ()


def test_no_grad_and_its_nesting():
    x, pause = watched(3.0), no_grad()
    with GradientTape() as tape:
        with pause:
            with pause:
                a = x * x
            b = x * x
        y = a * b * x
    assert not a.tracked and not b.tracked
    assert tape.gradient(y, x).tolist() == [81]


def test_a_tape_belongs_to_its_thread():
    x, seen = watched(3.0), []

    def elsewhere():
        seen.append(x * x)

    with GradientTape() as tape:
        y = x * x
        thread = threading.Thread(target=elsewhere)
        thread.start()
        thread.join()
    assert len(tape.records) == 1
    assert not seen[0].tracked and tape.gradient(y, x).tolist() == [6]


def test_long_chains_need_no_recursion():
    x = watched(0.0)
    with GradientTape() as tape:
        y = x
        for _ in range(20_000):
            y = y + 1.0
    assert tape.gradient(y, x).item() == 1
    del y, tape
    gc.collect()


# --- memory ---


def test_intermediate_tensors_are_freed_after_backward():
    x = watched(1.0, 2.0)
    with GradientTape() as tape:
        inner = ops.exp(x)
        y = ops.sum(inner * inner)
    reference = weakref.ref(inner)
    del inner
    assert reference() is not None  # the tape holds it
    tape.gradient(y, x)
    assert reference() is None and tape.records == []


def test_nothing_is_kept_without_a_tape():
    x = watched(1.0)
    y = ops.exp(x)
    reference = weakref.ref(y)
    z = y * y
    del y
    assert reference() is None and not z.tracked


def test_untracked_inputs_are_not_recorded():
    x, c = watched(1.0), tensor(2.0)
    with GradientTape() as tape:
        x * c
        c * c
    ((_, inputs, _),) = tape.records
    assert inputs[0] is x and inputs[1] is None
