"""The close tier, tested by breaking things: absolute and norm-wise tolerances, NaN, dtypes, shapes, large arrays."""

from __future__ import annotations

import math
import time
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from goldmark.golden._compare.curve import curve_of, plot
from goldmark.golden._compare.tiers import compare
from goldmark.golden._files.arrays import SAMPLED, sampled_places
from goldmark.golden._files.entries import Close, Result
from goldmark.golden._files.format import from_bytes, to_bytes
from goldmark.golden._record.entry import golden_from

STEPS = 40
COSINE = [0.05 * (1 + math.cos(math.pi * step / STEPS)) for step in range(STEPS + 1)]
OTHERWISE = [0.1 * math.cos(math.pi * step / STEPS / 2) ** 2 for step in range(STEPS + 1)]  # the same, by another way
SINE = np.sin(np.linspace(0, 2 * np.pi, 101))
MILLION = np.random.default_rng(0).normal(size=(1000, 1000)).astype(np.float32)


def stored(exact=None, **close):
    """Return a golden as it comes back from its file."""
    return from_bytes(to_bytes(golden_from(Result(name="a", exact=exact or {}, close=close), ())), "a.json")


def drifts(golden, exact=None, **close):
    """Return what a comparison with a golden finds."""
    return compare(golden, Result(name="a", exact=exact or {}, close=close)).drifts


def keys(golden, **close):
    """Return which entries do not hold."""
    return [drift.key for drift in drifts(golden, **close)]


def both(value, got, **rule):
    """Return which entries of a new value do not hold against a golden value by one rule."""
    return keys(stored(x=Close(value, **rule)), x=Close(got, **rule))


def test_an_absolute_tolerance_lets_a_schedule_end_at_zero():
    """Written another way it ends at 4e-34 instead of 0, which no relative tolerance allows."""
    assert 0 == COSINE[-1] < OTHERWISE[-1] < 1e-30
    assert ["x[40]"] == both(COSINE, OTHERWISE)
    assert [] == both(COSINE, OTHERWISE, abs=1e-12)
    assert ["x[40]"] == both(COSINE, [*OTHERWISE[:-1], 1.1e-12], abs=1e-12)


def test_a_norm_lets_a_curve_cross_zero():
    """Off by 7e-7 everywhere: in relation to each entry that is infinitely much, in relation to the curve it is not."""
    off = SINE + 7e-7
    assert len(both(SINE, off, rel=1e-5)) > 1
    for norm in ("max", "l2"):
        assert [] == both(SINE, off, rel=1e-5, norm=norm)
        assert ["x"] == both(SINE, SINE + 2e-5, rel=1e-5, norm=norm)


@pytest.mark.parametrize(("norm", "ord"), [("max", np.inf), ("l2", 2)])
@given(data=st.data())
def test_the_norm_of_the_change_decides(norm, ord, data):  # noqa: A002 (numpy's name)
    """As numpy computes it, whichever entries move, with what lies between just inside and just outside."""
    golden = np.array(data.draw(st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=6)))
    change = np.array(data.draw(st.lists(st.floats(-1, 1), min_size=len(golden), max_size=len(golden))))
    moved, size = (np.linalg.norm(x, ord) for x in ((golden + change) - golden, golden))
    allowed = 1e-3 * size + 0.1
    if abs(moved - allowed) > 1e-9:  # rounding apart
        assert (moved <= allowed) == (
            not both(golden.tolist(), (golden + change).tolist(), rel=1e-3, abs=0.1, norm=norm)
        )


def test_a_vector_outside_is_told_with_its_entry_that_moved_most():
    """Norms, tolerances, and where."""
    golden = stored(x=Close({"a": [3.0, 4.0], "b": [1.0]}, rel=1e-3, norm="l2"))
    (drift,) = drifts(golden, x=Close({"a": [3.0, 4.5], "b": [1.0]}, rel=1e-3, norm="l2"))
    expected = (
        "close x.a: l2 norm of the golden 5, apart 0.5, 100 tolerances of 0.001; most at x.a[1]: golden 4, got 4.5"
    )
    assert (f"{expected} (+12.5 %)", pytest.approx(100)) == (drift.text, drift.size)


@pytest.mark.parametrize("rule", [{}, {"norm": "max", "rel": 0.5}, {"norm": "l2", "abs": 9.0}, {"abs": 9.0}])
@pytest.mark.parametrize(
    ("key", "got"),
    [
        ("x[1]", [1.0, math.nan, 3.0]),
        ("x[1]", [1.0, math.inf, 3.0]),
        ("x[1]", [1.0, None, 3.0]),
        ("x[1]", [1.0, True, 3.0]),
        ("x[1]", [1.0, "2", 3.0]),
        ("x", [1.0, 2.0]),
        ("x", [1.0, 2.0, 3.0, 4.0]),
        ("x[0]", [[1.0], 2.0, 3.0]),
        ("x", {"a": 1.0}),
        ("x", 1.0),
    ],
)
def test_no_tolerance_hides_what_is_no_number_or_has_another_length(rule, key, got):
    """However wide, entry by entry and in a norm, whose vector is named as a whole where its entries are numbers."""
    as_vector = "norm" in rule and key == "x[1]" and type(got[1]) is float
    assert [("x" if as_vector else key)] == both([1.0, 2.0, 3.0], got, **rule)


@pytest.mark.parametrize("norm", [None, "max", "l2"])
def test_nan_equals_nan_where_that_is_said(norm):
    """In the same place alone; it survives the file, and the other entries are held as ever."""
    golden = [1.0, math.nan, 3.0]
    rule = {"equal_nan": True, "norm": norm}
    assert [] == both(golden, golden, **rule)
    for got in ([1.0, 2.0, 3.0], [math.nan, math.nan, 3.0], [1.0, math.nan, 3.1], [1.0, None, 3.0]):
        assert both(golden, got, **rule)
    assert both([1.0, 2.0, 3.0], golden, **rule)
    assert [] == both([complex(1, math.nan)], [complex(1, math.nan)], **rule)


@pytest.mark.parametrize("value", [math.nan, [1.0, math.nan], np.full(20_000, math.nan)])
def test_nan_equals_nothing_where_nothing_is_said(value):
    """Nor itself: a golden with it cannot be recorded, and one that exists anyway does not hold."""
    golden = golden_from(Result(name="a", close={"x": Close(value, abs=1.0)}), ())
    assert keys(golden, x=Close(value, abs=1.0))


@pytest.mark.parametrize("change", [{"rel": 1e-3}, {"abs": 1e-3}, {"norm": "max"}, {"equal_nan": True}])
def test_the_stored_tolerance_decides(change):
    """A result that brings another one is held to the golden's, and the rule is named."""
    golden = stored(x=Close([1.0, 2.0]))
    (name,) = change
    assert [f"x.{name}"] == keys(golden, x=Close([1.0, 2.0], **change))
    assert {f"x.{name}", "x[0]"} == set(keys(golden, x=Close([1.0 + 1e-6, 2.0], **change)))


def test_a_complex_number_is_held_by_its_size():
    """A part that crosses zero is no matter, as little as a curve that does; a phase is."""
    assert [] == both([3 + 0j], [3 + 1e-12j])
    assert ["x[0]"] == both([3 + 0j], [3 + 1e-8j])
    assert ["x"] == both(2j, 2 + 0j)
    assert [] == both(np.array([3 + 0j]), torch.tensor([3 + 1e-12j], dtype=torch.complex128))


@pytest.mark.parametrize("tier", ["exact", "close"])
@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda x: x.astype(np.float64), "golden float32 (2, 3), got float64 (2, 3) (the dtypes differ)"),
        (lambda x: torch.tensor(x).double(), "golden float32 (2, 3), got float64 (2, 3) (the dtypes differ)"),
        (lambda x: x.reshape(3, 2), "golden float32 (2, 3), got float32 (3, 2) (the shapes differ)"),
        (lambda x: x[None], "golden float32 (2, 3), got float32 (1, 2, 3) (the shapes differ)"),
        (lambda x: x[:0], "golden float32 (2, 3), got float32 (0, 3) (the shapes differ)"),
        (lambda x: x.tolist(), "golden float32 (2, 3), got no array (the shapes differ)"),
    ],
)
def test_dtype_and_shape_are_kept_and_said_first(tier, change, words):
    """Of an array of another shape no entry is compared; a tensor of the same dtype is the same array."""
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    of = {"exact": lambda x: {"exact": {"w": x}}, "close": lambda x: {"w": Close(x)}}[tier]
    golden = stored(**of(array))
    assert () == drifts(golden, **of(torch.tensor(array)))
    assert [f"{tier} w: {words}"] == [drift.text for drift in drifts(golden, **of(change(array)))]


def test_empty_shapes_are_told_apart():
    """As lists both are empty."""
    golden = stored(w=Close(np.zeros((0, 3))))
    assert ["w"] == keys(golden, w=Close(np.zeros((0, 4))))
    assert [] == keys(golden, w=Close(np.zeros((0, 3))))


def test_entries_of_an_array_of_another_dtype_are_compared():
    """The dtype stands first, though an entry is farther off than anything."""
    golden = stored(w=Close(np.array([1.0, 0.0])), a=Close(0.0))
    assert ["w", "a", "w[1]"] == keys(golden, w=Close(np.array([1, 2])), a=Close(1.0))


def test_another_length_is_said_before_all_else():
    """Of whatever tier, and however far off an entry is."""
    golden = stored(exact={"n": 3}, x=Close([1.0, 0.0]))
    assert ["x", "n", "x[1]"] == [drift.key for drift in drifts(golden, exact={"n": 4}, x=Close([1.0, 9.0, 2.0]))]


def test_a_list_is_compared_with_an_array_by_its_numbers():
    """A golden of before dtypes were kept, or one of a list, knows none."""
    golden = stored(w=Close([1.0, 2.0]), exact={"n": [1, 2]})
    assert () == drifts(golden, w=Close(np.array([1.0, 2.0])), exact={"n": torch.tensor([1, 2])})


def test_arrays_of_seeds_that_were_not_run_are_no_drift():
    """As other close entries of one value per seed."""
    losses = {str(seed): np.full(3, float(seed)) for seed in range(3)}
    stream = {str(seed): "same" for seed in range(3)}
    golden = golden_from(Result(name="a", close={"losses": Close(losses)}, stream=stream), ())
    for seeds in ("01", "0", "012"):
        part = {seed: losses[seed] for seed in seeds}
        run = Result(name="a", close={"losses": Close(part)}, stream=dict.fromkeys(seeds, "same"))
        assert () == compare(golden, run).drifts
    other = Result(name="a", close={"losses": Close({"0": losses["0"].astype("f4")})}, stream={"0": "same"})
    assert ["losses.0"] == [drift.key for drift in compare(golden, other).drifts]


def test_a_missing_array_is_one_drift():
    """Not two, of its key and of its dtype."""
    golden = stored(w=Close({"a": np.ones(2), "b": 1.0}), v=Close(np.ones(2)))
    assert ["v", "w.a"] == sorted(keys(golden, w=Close({"b": 1.0})))


@pytest.fixture(scope="module")
def content():
    """The file of a golden that holds a million numbers in two tiers."""
    return to_bytes(golden_from(Result(name="a", exact={"w": MILLION}, close={"w": Close(MILLION, rel=1e-5)}), ()))


@pytest.fixture(scope="module")
def golden(content):
    """The golden of that file."""
    return from_bytes(content, "a.json")


class TestLargeArrays:
    """A million entries: what stands for them, and what that sees."""

    def close(self, golden, got):
        """Return which close entries do not hold."""
        golden = replace(golden, exact={}, arrays={"close w": golden.arrays["close w"]})
        return keys(golden, w=Close(got, rel=1e-5))

    def test_hash_statistics_and_a_sample_are_kept(self, content, golden):
        """Some kilobytes instead of 20 MB; dtype and shape as of any array; statistics by a second implementation."""
        assert len(content) < 30_000
        value = golden.close["w"].value
        numbers = MILLION.astype(np.float64)
        expected = [numbers.min(), numbers.max(), numbers.mean(), numbers.std(), np.linalg.norm(numbers)]
        assert pytest.approx(expected, rel=1e-12) == [value[name] for name in ("min", "max", "mean", "sd", "norm")]
        assert [float(MILLION.reshape(-1)[place]) for place in sampled_places(10**6)] == value["sample"]
        assert "float32 (1000, 1000)" == golden.arrays["close w"]
        assert (10**6, 0) == (value["n"], value["nan"])

    def test_the_sample_is_spread_over_rows_and_columns(self):
        """No stretch is left out, and no column of an array of a thousand is taken twice as often as others."""
        places = np.array(sampled_places(10**6))
        assert SAMPLED == len(places) == len(set(places))
        assert (0, 10**6 - 1) == (places[0], places[-1])
        assert np.diff(places).max() < 3 * 10**6 / SAMPLED
        for stride in (64, 100, 768, 1000, 1024):
            assert np.histogram(places % stride, bins=8)[0].min() > SAMPLED / 8 / 3

    def test_the_same_array_holds_in_time(self, content):
        """A check of a million entries, its file included, in less than two seconds of this process."""
        start = time.process_time()
        golden = from_bytes(content, "a.json")
        assert () == drifts(golden, exact={"w": MILLION}, w=Close(MILLION, rel=1e-5))
        assert time.process_time() - start < 2

    def test_exact_sees_one_bit(self, golden):
        """By the hash; how far statistics and sample moved is said beside it. Zero's sign is no difference."""
        flipped = MILLION.copy()
        flipped[500, 500] = np.nextafter(flipped[500, 500], np.float32(9))
        (drift,) = drifts(golden, exact={"w": flipped}, w=Close(MILLION, rel=1e-5))
        assert ("exact", "w") == (drift.tier, drift.key)
        assert "0 of 256 sampled entries differ" in drift.text
        zeros = np.zeros(20_000)
        assert () == drifts(stored(exact={"z": zeros}), exact={"z": -zeros})

    def test_entries_within_the_tolerance_hold(self, golden):
        """Every entry moved, each by less than it may: no statistic may turn that into an alarm."""
        wobble = np.random.default_rng(1).uniform(-0.9e-5, 0.9e-5, MILLION.shape)
        assert [] == self.close(golden, (MILLION * (1 + wobble)).astype(np.float32))
        assert [] == self.close(golden, (MILLION * (1 + 0.9e-5)).astype(np.float32))

    @pytest.mark.parametrize(
        ("key", "damage"),
        [
            ("w, mean", lambda x: x + np.float32(1e-3)),
            ("w, sd", lambda x: x * np.float32(1.001)),
            ("w, norm", lambda x: np.where(np.arange(x.size).reshape(x.shape) < 5000, np.float32(0), x)),
            ("w, max", lambda x: np.where(np.arange(x.size).reshape(x.shape) == 77, np.float32(9), x)),
            ("w, entry", lambda x: x[::-1]),
            ("w, entry", lambda x: x.T.copy()),
            ("w, entry", lambda x: np.roll(x, 1)),
            ("w, NaN", lambda x: np.where(np.arange(x.size).reshape(x.shape) == 77, np.float32(np.nan), x)),
            ("w, max", lambda x: np.where(np.arange(x.size).reshape(x.shape) == 77, np.float32(np.inf), x)),
            ("w", lambda x: x.astype(np.float64)),
            ("w", lambda x: x.reshape(-1)),
            ("w", lambda x: x[:-1]),
            ("w", lambda x: 1.0),
            ("w", lambda x: []),
        ],
    )
    def test_close_sees_what_moves_statistics_or_sample(self, golden, key, damage):
        """A shift, a scale, a dead row, an outlier, another order, NaN, another dtype or shape."""
        assert any(found.startswith(key) for found in self.close(golden, damage(MILLION)))

    def test_what_a_summary_cannot_see(self, golden):
        """A few entries that are not sampled, changed by less than the statistics feel; the exact tier sees them."""
        quiet = MILLION.copy()
        quiet[500, 500:503] += np.float32(1e-3)
        assert [] == self.close(golden, quiet)

    @pytest.mark.parametrize("norm", ["max", "l2"])
    def test_in_a_norm_statistics_move_by_what_the_norm_allows(self, norm):
        """A change of the vector inside its tolerance holds, ten times as much does not."""
        vector = MILLION[:5].reshape(-1).astype(np.float64)
        golden = stored_summary(vector, norm)
        size = np.linalg.norm(vector, {"max": np.inf, "l2": 2}[norm])
        change = np.full(vector.size, 0.9e-3 * size / (1 if norm == "max" else math.sqrt(vector.size)))
        assert [] == keys(golden, w=Close(vector + change, rel=1e-3, norm=norm))
        assert keys(golden, w=Close(vector + 10 * change, rel=1e-3, norm=norm))

    def test_the_golden_s_form_decides(self):
        """One that holds all entries is compared entry by entry, however many there are."""
        array = MILLION[:20].copy()
        whole = golden_from(Result(name="a", close={"w": Close(array)}), (), whole=10**6)
        assert isinstance(whole.close["w"].value, list)
        moved = array.copy()
        moved[17, 999] *= 2
        assert ["w[17][999]"] == keys(whole, w=Close(moved))

    def test_without_a_tolerance_the_hash_decides(self):
        """One bit of an entry that is not sampled, which no statistic feels."""
        quiet = MILLION.copy()
        quiet[500, 500] = np.nextafter(quiet[500, 500], np.float32(9))
        (drift,) = drifts(stored(w=Close(MILLION, rel=0.0)), w=Close(quiet, rel=0.0))
        assert ("close", "w") == (drift.tier, drift.key)

    def test_entries_that_are_nan_allow_the_others_no_less(self):
        """A mean of a quarter of the entries moves by as much as each of them."""
        array = np.full(20_000, np.nan)
        array[::4] = 2.0
        golden = stored(w=Close(array, rel=1e-3, equal_nan=True))
        assert [] == keys(golden, w=Close(array * (1 + 0.9e-3), rel=1e-3, equal_nan=True))
        assert keys(golden, w=Close(array * (1 + 1.1e-3), rel=1e-3, equal_nan=True))

    def test_nan_where_it_is_allowed(self):
        """The same number of NaN, and the other entries by their hash; one more fails."""
        array = np.arange(20_000.0)
        array[::7] = np.nan
        golden = stored(w=Close(array, equal_nan=True))
        assert [] == keys(golden, w=Close(array.copy(), equal_nan=True))
        array[1] = np.nan
        assert ["w, NaN"] == keys(golden, w=Close(array, equal_nan=True))


def stored_summary(vector, norm):
    """Return a golden that holds the summary of a vector of a few thousand entries."""
    return golden_from(Result(name="a", close={"w": Close(vector, rel=1e-3, norm=norm)}), (), whole=1000)


class TestPlot:
    """A curve beside its golden, in text."""

    def test_a_change_that_can_be_seen_is_plotted_beside_the_golden(self):
        """On one scale, which is said; each number has its character."""
        golden, got = plot(curve_of("lr", [1.0, 2.0, 3.0, 4.0, 5.0], [5.0, 4.0, 3.0, 2.0, 1.0]))
        assert ["lr, golden ▁▃▅▇█  1 to 5", "got        █▇▅▃▁  1 to 5"] == [golden, got]

    def test_a_change_too_small_to_be_seen_has_its_own_scale(self):
        """Where, and how much."""
        _, change = plot(curve_of("lr", [1.0, 2.0, 3.0, 4.0, 5.0], [1.0, 2.0, 3.0, 4.0, 5.01]))
        assert "|got - golden| ▁▁▁▁█  0 to 0.01" == change

    def test_a_long_curve_is_short_and_no_number_has_a_mark(self):
        """Sixty characters; NaN is seen in its bin."""
        lines = plot(curve_of("lr", [float(i) for i in range(1000)], [*map(float, range(999)), math.nan]))
        assert max(map(len, lines)) <= 60 + 40
        assert "?" == lines[1].split()[1][-1]
        assert all("  " in line for line in plot(curve_of("lr", [2.0] * 5, [2.0] * 5)))

    @pytest.mark.parametrize(
        ("golden", "got"), [([1.0] * 4, [2.0] * 4), ([1.0] * 5, [1.0] * 6), (["a"] * 5, ["b"] * 5)]
    )
    def test_what_is_no_curve_has_no_plot(self, golden, got):
        """Few numbers are seen without; other lengths and text have no common axis."""
        assert curve_of("lr", golden, got) is None
