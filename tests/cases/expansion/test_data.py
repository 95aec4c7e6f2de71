"""Windows of the expansion case: what is drawn, and labels that follow from the span."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from goldmark.cases.expansion import ExpansionSettings
from goldmark.cases.expansion.data import countdown_bars, generate, span_labels

FOUR_SE = 4  # a mean of independent draws lies this many standard errors off once in 16,000 times


def test_generator_is_a_function_of_settings_and_seed(small):
    """The same seed repeats bitwise; another seed moves every feature."""
    first, again, other = (generate(small(), seed) for seed in (3, 3, 4))
    for name in first:
        assert torch.equal(first[name], again[name]), name
    assert not torch.isin(first["train_features"], other["train_features"]).any()


def test_no_window_is_in_both_halves(small):
    """Nothing of the validation half was trained on, and both halves keep features and labels together."""
    data = generate(small(), 0)
    assert 0 == int(torch.isin(data["train_features"], data["val_features"]).sum())
    whole = generate(small(n_train=18, n_val=0), 0)
    for name in ("features", "span", "countdown", "pointers", "kind"):
        assert torch.equal(whole[f"train_{name}"], torch.cat([data[f"train_{name}"], data[f"val_{name}"]])), name


def test_windows_have_the_stated_shapes_in_float64():
    """Features, labels and pointers of 128 + 64 windows of 72 bars; kinds are integers."""
    data = generate(ExpansionSettings(), 0)
    per_window = {"features": (72, 6), "span": (72,), "countdown": (72,), "pointers": (2,), "kind": ()}
    assert {
        f"{half}_{name}": (n, *shape) for half, n in (("train", 128), ("val", 64)) for name, shape in per_window.items()
    } == {name: tuple(tensor.shape) for name, tensor in data.items()}
    assert {torch.float64} == {tensor.dtype for name, tensor in data.items() if not name.endswith("kind")}
    assert {torch.int64} == {data["train_kind"].dtype, data["val_kind"].dtype}


@pytest.mark.parametrize("half", ["train", "val"])
def test_labels_of_a_window_tell_of_one_span(half):
    """Every window has one run of 4 to 8 bars; countdown, centre and length in the pointers follow from it."""
    data = generate(ExpansionSettings(), 0)
    span, countdown, pointers = (data[f"{half}_{name}"].numpy() for name in ("span", "countdown", "pointers"))
    lengths = set()
    for row in range(len(span)):
        places = np.flatnonzero(span[row])
        start, end = places[0], places[-1] + 1
        lengths.add(end - start)
        assert end - start == len(places)
        np.testing.assert_array_equal(countdown[row], np.clip(start - np.arange(72), -20, 20), err_msg="countdown")
        # a quotient of small integers, rounded once
        centre_and_length = [(start + end) / 2 / 72, (end - start) / 72]
        np.testing.assert_allclose(pointers[row], centre_and_length, rtol=1e-15, err_msg="pointers")
    assert {4, 5, 6, 7, 8} == lengths


def test_spans_reach_both_ends_of_the_window(small):
    """A start of 0 and an end at the last bar both occur, and no span is cut off: 600 short windows."""
    span = generate(small(n_train=600), 1)["train_span"]
    assert span[:, 0].any()
    assert span[:, -1].any()
    assert span.sum(dim=1).min() == 4


@pytest.mark.parametrize("cue", [2.5, 0.35])
def test_cue_is_in_feature_0_of_the_span_alone(small, cue):
    """Windows with and without the cue differ by the cue, there; the noise has mean 0 and variance 1."""
    with_cue, without = generate(small(cue=cue), 0), generate(small(cue=0.0), 0)
    for half in ("train", "val"):
        shift = with_cue[f"{half}_features"] - without[f"{half}_features"]
        expected = torch.zeros_like(shift)
        expected[..., 0] = cue * with_cue[f"{half}_span"]
        torch.testing.assert_close(shift, expected, rtol=0, atol=1e-14)  # one rounding of numbers below 8
    noise = generate(ExpansionSettings(cue=0.0), 0)["train_features"]
    assert pytest.approx(0, abs=FOUR_SE / noise.numel() ** 0.5) == float(noise.mean())
    assert pytest.approx(1, abs=FOUR_SE * (2 / noise.numel()) ** 0.5) == float(noise.var())


def test_span_and_countdown_of_a_span_that_is_known():
    """Start 2, length 3 in 6 bars: marked on bars 2 to 4; the countdown is 2 at bar 0 and -3 at bar 5."""
    start, length = torch.tensor([2]), torch.tensor([3])
    assert [[0, 0, 1, 1, 1, 0]] == span_labels(start, length, 6).tolist()
    assert [[2, 1, 0, -1, -2, -3]] == countdown_bars(start, 6).tolist()


def test_countdown_stops_at_20_bars_either_way():
    """With a start at bar 50 of 105, bars 29 to 31 hold 20, 20, 19 and bars 69 to 71 hold -19, -20, -20."""
    countdown = countdown_bars(torch.tensor([50]), 105)[0]
    assert [20, 20, 19] == countdown[29:32].tolist()
    assert [-19, -20, -20] == countdown[69:72].tolist()
    assert (20, -20) == (countdown.max(), countdown.min())


def test_kinds_have_the_share_of_the_settings(small):
    """Four windows in five are of kind 1 where the settings say so; nothing else of the data moves."""
    some, even = (generate(small(n_train=2000, kind_share=share), 0) for share in (0.8, 0.5))
    assert pytest.approx(0.8, abs=FOUR_SE * (0.8 * 0.2 / 2000) ** 0.5) == float(some["train_kind"].double().mean())
    assert {"train_kind", "val_kind"} == {name for name in some if not torch.equal(some[name], even[name])}


def test_windows_are_made_on_the_device_that_is_asked_for(small):
    """No part of the generator comes from the host: on a device without content there is nothing to mix with."""
    with torch.device("meta"):
        data = generate(small(), 0)
    assert {"meta"} == {tensor.device.type for tensor in data.values()}
