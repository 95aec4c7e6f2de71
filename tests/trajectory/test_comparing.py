"""The comparison itself, on loops in numpy: every way to differ is found, and what is compared with what is told."""

from __future__ import annotations

import copy
import itertools
import math
import subprocess
import sys
import tracemalloc
from collections import OrderedDict
from typing import NamedTuple

import numpy as np
import pytest

from goldmark import UsageError, same_trajectory
from goldmark.trajectory._nudge import OneUlp

FEATURES = np.random.default_rng(0).normal(size=(64, 5))
TARGETS = FEATURES @ np.arange(1.0, 6.0)


def descent(nudge, change=lambda step, row: row, steps=6):
    """Least squares by gradient descent; `change` makes what is yielded another thing."""
    weights = nudge({"w": np.full(5, 0.1)})["w"]
    for step in range(steps):
        error = FEATURES @ weights - TARGETS
        gradient = FEATURES.T @ error / len(error)
        weights = weights - 0.1 * gradient
        row = {"loss": float(error @ error), "gradient": gradient, "weights": weights, "step": step}
        row |= {"mask": gradient > 0, "log": np.array([-np.inf, np.nan, error[0]])}
        changed = change(step, row)
        if changed is None:
            return
        yield changed


def changed(name, value, at=3):
    """A loop that is another in one tensor of one step."""
    return lambda nudge: descent(nudge, lambda step, row: {**row, name: value(row[name])} if step == at else row)


def reordered(nudge):
    """The same loop, with every sum in the other direction."""
    weights = nudge([np.full(5, 0.1)])[0]
    for step in range(6):
        error = FEATURES[::-1] @ weights - TARGETS[::-1]
        gradient = sum(row * one for row, one in zip(FEATURES[::-1], error, strict=True)) / len(error)
        weights = weights - 0.1 * gradient
        row = {"loss": float(error @ error), "gradient": gradient, "weights": weights, "step": step}
        yield row | {"mask": gradient > 0, "log": np.array([-np.inf, np.nan, error[-1]])}


def test_the_same_sums_in_another_order_pass():
    """In a loop that knows no torch; NaN and infinity in the same places are the same."""
    verdict = same_trajectory(descent, reordered)
    assert verdict
    assert 0 < verdict.difference < verdict.tolerance
    assert repr(verdict).startswith("the same trajectory: 6 steps, at most '")


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("loss", lambda loss: math.nan, "nan in `other`"),
        ("loss", lambda loss: loss * (1 + 1e-12), "times the tolerance"),
        ("loss", np.float32, "is float64 () in `run` and float32 () in `other`"),
        ("gradient", lambda old: old[:, None], "is float64 (5,) in `run` and float64 (5, 1) in `other`"),
        ("gradient", lambda old: old + 1e-11 * (np.arange(5) == 4), "times the tolerance"),
        ("gradient", lambda old: -old, "times the tolerance"),
        ("gradient", lambda old: np.where(np.arange(5) == 2, np.inf, old), "inf in `other` at [2]"),
        ("step", lambda old: old + 1, "differs by 1, inf times the tolerance of 0"),
        ("step", float, "is int64 () in `run` and float64 () in `other`"),
        ("mask", lambda old: ~old, "differs by 1"),
        ("log", lambda old: old * -1, "is -inf in `run` and inf in `other` at [0]"),
        ("log", np.nan_to_num, "is -inf in `run`"),
    ],
)
def test_every_change_of_a_tensor_is_found_at_its_step(name, value, told):
    """NaN, infinity, another type or shape, one entry, a sign, an integer."""
    verdict = same_trajectory(descent, changed(name, value))
    assert (False, 3, name) == (verdict.ok, verdict.step, verdict.tensor)
    assert f"step 3 (from 0) of 6, '{name}'" in repr(verdict)
    assert told in repr(verdict)
    assert repr(verdict).endswith("; the steps before hold")


def test_a_dropped_and_an_added_key_are_found():
    """Whichever of the two runs lacks it."""
    without = same_trajectory(descent, lambda nudge: descent(nudge, lambda step, row: row | {"more": 1.0}))
    assert (False, 0, "more") == (without.ok, without.step, without.tensor)
    assert "'more' is only in `other`" in repr(without)
    dropped = same_trajectory(descent, lambda nudge: descent(nudge, lambda step, row: {"loss": row["loss"]}))
    assert (False, 0, "gradient") == (dropped.ok, dropped.step, dropped.tensor)
    assert "'gradient' is only in `run`" in repr(dropped)


@pytest.mark.parametrize(("steps", "told"), [(5, "ends after 5 of 6 steps"), (0, "ends after 0 of 6"), (7, "goes on")])
def test_another_number_of_steps_is_found(steps, told):
    """Fewer, none or more."""
    verdict = same_trajectory(descent, lambda nudge: descent(nudge, steps=steps))
    assert (False, min(steps, 6)) == (verdict.ok, verdict.step)
    assert f"`other` {told}" in repr(verdict)


def test_large_integers_are_compared_as_integers():
    """Two hashes that float64 holds for one number are two."""
    verdict = same_trajectory(*(changed("step", lambda _, one=one: 2**60 + one, at=2) for one in (0, 1)))
    assert (False, 2, "step") == (verdict.ok, verdict.step, verdict.tensor)


def test_integers_may_differ_where_those_of_nudged_runs_do():
    """A count of what lies above a threshold jumps; it neither fails nor tells anything."""
    ulps = itertools.count()

    def counting(nudge):
        count = next(ulps)
        return descent(nudge, lambda step, row: row | {"count": 10 * step + count % 2})

    verdict = same_trajectory(counting, counting)
    assert verdict
    assert verdict.not_told == ("count",)


def test_a_floor_in_ulps_of_its_own_type_holds_where_nothing_depends_on_the_weights():
    """A sum of the data in another order moves by some ulps, while nudged weights leave it as it is."""
    data = np.random.default_rng(0).normal(size=4096).astype(np.float32)

    def summed(sum_of):
        return lambda nudge: descent(nudge, lambda step, row: row | {"sum": sum_of(data)})

    one_by_one = summed(lambda numbers: np.cumsum(numbers)[-1])
    assert np.cumsum(data)[-1] != data.sum()
    assert same_trajectory(summed(np.sum), one_by_one)
    assert not same_trajectory(summed(np.sum), summed(lambda numbers: numbers.sum() * np.float32(1 + 1e-5)))


def test_numbers_that_nothing_reached_are_undecided():
    """No step, no tensor, or weights that were nudged in vain: nothing was compared."""
    empty = same_trajectory(lambda nudge: iter([nudge(np.ones(2))][:0]), lambda nudge: [])
    assert empty.ok is None
    assert "nothing was compared" in repr(empty)

    def in_vain(nudge):
        nudge((1.0, 2.0))  # of numbers that cannot be changed in place, and what it returns is not used
        return descent(lambda model: model)

    vain = same_trajectory(in_vain, descent)
    assert vain.ok is None
    assert "use what it returns where arrays cannot be changed, as in jax" in repr(vain)


def test_a_run_that_diverges_in_both_is_undecided():
    """NaN equals NaN, and says nothing."""
    verdict = same_trajectory(*[lambda nudge: descent(nudge, lambda step, row: {"loss": row["loss"] * math.nan})] * 2)
    assert verdict.ok is None


def test_a_tensor_that_becomes_nan_in_both_tells_nothing_from_there_on():
    """It is named, and the others decide."""
    late = changed("loss", lambda loss: math.nan, at=5)
    verdict = same_trajectory(late, late)
    assert verdict
    assert verdict.not_told == ("loss",)


def test_nudged_runs_of_other_lengths_are_undecided():
    """A loop that stops by what it measures, where rounding decides."""
    lengths = itertools.cycle([6, 5, 7, 6])

    def stopping(nudge):
        return descent(nudge, steps=next(lengths))

    verdict = same_trajectory(stopping, lambda nudge: descent(nudge, steps=5))
    assert verdict.ok is None
    assert "nudged runs take from 5 to 7 steps" in repr(verdict)


@pytest.mark.parametrize(
    ("run", "message"),
    [
        (lambda nudge: descent(lambda model: model), r"run\(nudge\) called nudge 0 times; call nudge\(model\) once"),
        (lambda nudge: descent(lambda model: nudge(nudge(model))), "called nudge 2 times"),
        (lambda nudge: [nudge(np.ones(1))], "step 0 is ndarray; yield a dict of numbers and arrays, by name"),
        (lambda nudge: [{"name": nudge(np.ones(1)) is None or "text"}], "step 0, 'name' is str; yield numbers"),
        (
            lambda nudge: [{"x": nudge({"w": 0.0, "n": 3})["n"]}],
            "nudge was given dict with no weight in floating point",
        ),
    ],
)
def test_wrong_use_is_refused(run, message):
    """In a sentence that says what would be right."""
    with pytest.raises(UsageError, match=message):
        same_trajectory(run, descent)


@pytest.mark.parametrize(
    ("setting", "message"),
    [({"repeats": 0}, "repeats is 0; give the number"), ({"precision": "half"}, "precision is 'half'; give None, for")],
)
def test_wrong_settings_are_refused(setting, message):
    """Before anything is trained."""
    with pytest.raises(UsageError, match=message):
        same_trajectory(pytest.fail, pytest.fail, **setting)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.complex64])
def test_a_nudge_moves_every_weight_to_a_number_next_to_it(dtype):
    """In place, up or down, and leaves zeros and integers as they are."""
    weights = np.random.default_rng(0).normal(size=1000).astype(dtype)
    weights[:10] = 0
    model = OrderedDict(w=weights, steps=np.arange(3))
    old = copy.deepcopy(model)
    nudge = OneUlp(0, None)
    nudge(model)
    ulps = (weights.real - old["w"].real)[10:] / np.spacing(np.abs(old["w"].real[10:]))
    assert {-1.0, 1.0} >= set(ulps) - {-0.5}  # below a power of two the numbers are twice as dense
    assert 400 < np.sum(ulps > 0) < 600
    assert not np.any(weights[:10])
    assert np.array_equal(np.arange(3), model["steps"])
    assert np.finfo(dtype).eps == nudge.eps_of_one_call()


def test_a_nudge_takes_torch_modules_and_nested_parts():
    """Tensors change in place, and a model comes back in the form that it had."""
    import torch

    class Pair(NamedTuple):
        layer: torch.nn.Module
        scale: float

    layer = torch.nn.Linear(3, 2).to(torch.bfloat16)
    old = copy.deepcopy(layer)
    model = OneUlp(0, None)([Pair(layer, 1.5), (2, None)])
    assert model[0].layer is layer
    assert abs(model[0].scale - 1.5) == math.ulp(1.5)
    assert model[1] == (2, None)
    for new, before in zip(layer.parameters(), old.parameters(), strict=True):
        down, up = (before.nextafter(torch.full_like(before, side)) for side in (-torch.inf, torch.inf))
        assert torch.all((new == down) | (new == up))


def test_arrays_that_do_not_change_in_place_come_back_changed():
    """What a nudge needs of jax, without it: `at[...].set`, a type's name, and numbers."""

    class Frozen:
        def __init__(self, numbers):
            self.numbers, self.dtype, self.at = np.array(numbers), np.dtype(np.float32), {...: self}

        def __array__(self, dtype=None, copy=None):
            return self.numbers

        def set(self, numbers):
            return Frozen(numbers)

    weights = Frozen(np.ones(3, np.float32))
    new = OneUlp(0, None)({"w": weights})["w"]
    assert np.array_equal(np.ones(3), weights.numbers)
    assert np.all(new.numbers != 1)
    assert new.numbers.dtype == np.float32


def test_a_long_run_is_not_kept_in_memory(monkeypatch):
    """Of 40 steps of a quarter of a megabyte a few are there at a time."""
    monkeypatch.setattr("goldmark.trajectory._compare._IN_MEMORY", 2**16)

    def run(nudge):
        weights = nudge(np.ones(2**15))
        for _ in range(40):
            weights = weights * 0.9
            yield {"weights": weights}

    tracemalloc.start()
    assert same_trajectory(run, run)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4e6  # of 10.5e6 that all steps of one run take


def test_neither_torch_nor_scipy_is_needed():
    """A loop in numpy is compared on a machine that has neither."""
    code = (
        "import sys; sys.modules.update(torch=None, scipy=None)\n"
        "import numpy, goldmark\n"
        "def run(nudge):\n"
        "    w = nudge(numpy.ones(3))\n"
        "    for _ in range(3):\n"
        "        w = w * 0.5\n"
        "        yield {'w': w}\n"
        "print(goldmark.same_trajectory(run, run))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("the same trajectory: 3 steps")
