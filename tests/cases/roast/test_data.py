"""The profiles of the roast case: the generator, the scales, and the reader of a user's file."""

from __future__ import annotations

import json
import os
import pickle
from dataclasses import replace
from pathlib import Path
from statistics import mode

import numpy as np
import pytest
import torch

from goldmark.case import UsageError
from goldmark.cases.roast import CASE, RoastSettings
from goldmark.cases.roast.data import (
    Profile,
    _curves,
    fahrenheit,
    generate,
    measured_sizes,
    read_profiles,
    scaled,
    vocabulary_sizes,
)
from goldmark.runs import Job
from goldmark.training._single import train_single
from goldmark.training._tasks import plan_tasks, train_task

REAL = os.environ.get("GOLDMARK_ROAST_PROFILES")  # a file of measured profiles, where one is at hand


def test_curves_look_like_roasts():
    """Charged at 420 F and first read up to 21 s later, turning at 130-200 F, ending near 400 F, in tenths."""
    data = generate(RoastSettings(), 0)
    curves, valid = data["train_temp_f"], data["train_valid"]
    assert (24, 48) == tuple(curves.shape)
    assert 200 < curves[:, 0].min()
    assert curves[:, 0].max() < 440
    assert curves.argmin(dim=1).max() <= 8
    assert 130 < curves.min() < 200
    ends = curves[:, -1]
    assert 360 < ends.min()
    assert ends.max() < 450
    assert torch.equal(curves, (curves * 10).round() / 10)
    assert 36 <= valid.sum(dim=1).min()
    assert valid.sum(dim=1).max() <= 48


def test_padding_repeats_the_last_valid_temperature():
    """Cells after the end hold the end, and are marked as not valid."""
    data = generate(RoastSettings(), 1)
    for curve, valid in zip(data["val_temp_f"], data["val_valid"], strict=True):
        assert torch.equal(valid, torch.arange(48) < valid.sum())
        assert (curve[~valid] == curve[valid][-1]).all()


def test_generator_is_a_function_of_the_seed():
    """The same seed gives the same profiles, another seed others, and the two halves share none."""
    first, again, other = (generate(RoastSettings(), seed) for seed in (0, 0, 1))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert all(not torch.equal(first[name], other[name]) for name in first if name.startswith(("train", "val", "temp")))
    apart = (first["train_temp_f"] - other["train_temp_f"]).abs().mean(dim=1)
    assert apart.min() > 2  # F: other beans, not other noise of 0.6 F
    assert not set(map(tuple, first["train_temp_f"].tolist())) & set(map(tuple, first["val_temp_f"].tolist()))


def test_scales_are_those_of_the_record():
    """[100, 500] F becomes [0, 1]; z-scores have mean 0 and sd 1 on the valid training cells; raw stays."""
    data = generate(RoastSettings(input_scale="zscore", target_scale="range"), 0)
    torch.testing.assert_close(scaled(torch.tensor([100.0, 500.0]), data, "target"), torch.tensor([0.0, 1.0]))
    z = scaled(data["train_temp_f"], data, "input")[data["train_valid"]]
    assert (pytest.approx(0, abs=1e-9), pytest.approx(1)) == (float(z.mean()), float(z.std()))
    raw = generate(RoastSettings(input_scale="raw"), 0)
    assert torch.equal(raw["train_temp_f"], scaled(raw["train_temp_f"], raw, "input"))


@pytest.mark.parametrize("scale", ["raw", "range", "zscore"])
def test_fahrenheit_undoes_the_scale_of_the_targets(scale):
    """Targets on every scale come back as the degrees that they were, whatever the scale of the inputs."""
    data = generate(RoastSettings(input_scale="range", target_scale=scale), 0)
    there = scaled(data["val_temp_f"], data, "target")
    torch.testing.assert_close(fahrenheit(there, data), data["val_temp_f"], rtol=1e-12, atol=1e-9)


def test_conditions_are_scaled_as_in_the_record():
    """The target finish temperature over 425 F, the altitude over 2500 m, the density over .80."""
    continuous = generate(replace(RoastSettings(), n_train=400), 0)["train_continuous"]
    finish_f, altitude_m, density = (continuous * torch.tensor([425.0, 2500.0, 0.80])).unbind(dim=1)
    assert (393.5 <= finish_f).all()
    assert (finish_f <= 416.5).all()
    assert (1200 <= altitude_m).all()
    assert (altitude_m <= 2300).all()
    assert (0.68 <= density).all()
    assert (density <= 0.79).all()


def test_curve_is_the_documented_formula():
    """Without noise: A - (A - T0) exp(-k t) + (charge - T0) exp(-t / tau), recomputed in numpy for one bean."""
    time_s = np.array([0.0, 60.0, 600.0])
    one = [torch.tensor([value], dtype=torch.float64) for value in (450.0, 70.0, 420.0, 0.003, 20.0)]
    expected = 450 - (450 - 70) * np.exp(-0.003 * time_s) + (420 - 70) * np.exp(-time_s / 20)
    np.testing.assert_allclose(_curves(torch.tensor(time_s)[None], *one)[0], expected, rtol=1e-12)


def test_vocabulary_of_generated_profiles_has_no_unknown_slot():
    """The generator knows all its categories."""
    assert [4, 3, 3, 4] == generate(RoastSettings(), 0)["vocabulary"].tolist()


def profile(number, product="Bean", **changes):
    """One line of a small generated file in the schema of measured profiles."""
    seconds = np.arange(560 + 10 * (number % 5))
    curve = 450 - 330 * np.exp(-(0.003 + 0.00002 * number) * seconds) + 300 * np.exp(-seconds / 20)
    entry = {
        "id": f"{product}-{number}",
        "bean_temp_f": np.round(curve, 1).tolist(),
        "origin": f"origin {number % 3}",
        "process": "washed",
        "roast_level": "medium",
        "variety": f"variety {number % 4}",
        "target_finish_temp_f": 400.0 + number % 5,
    }
    return entry | changes


def write(path, profiles):
    """Write profiles as JSON Lines."""
    path.write_text("".join(json.dumps(entry) + "\n" for entry in profiles))
    return path


@pytest.fixture
def measured(tmp_path):
    """Measured profiles where there are some, else a small generated file of the same schema."""
    return Path(REAL) if REAL else write(tmp_path / "p.jsonl", [profile(i, f"Bean {i // 3}") for i in range(30)])


def test_measured_products_are_in_one_half_only(measured):
    """No product leaks: each seed splits whole products, about a fifth of the profiles validates."""
    case, profiles = CASE.on_file(measured), read_profiles(measured)
    for seed in range(3):
        data = case.make_data(case.settings, seed)
        n_val = len(data["val_temp_f"])
        assert 0.2 * len(profiles) <= n_val < 0.5 * len(profiles)
        curves = {
            tuple(curve[valid].tolist()) for curve, valid in zip(data["val_temp_f"], data["val_valid"], strict=True)
        }
        held_out = {p.product for p in profiles if tuple(p.temp_f[::15]) in curves}
        assert n_val == sum(p.product in held_out for p in profiles)


def test_measured_vocabulary_and_scale_come_from_the_training_half(tmp_path):
    """A category that only validation has is the unknown slot 0; mean and sd are the training cells'."""
    entries = [profile(i, f"Bean {i // 2}", origin=f"only {i // 2}") for i in range(12)]
    case = CASE.on_file(write(tmp_path / "p.jsonl", entries))
    data = case.make_data(case.settings, 0)
    assert (data["val_categories"][:, 0] == 0).all()
    assert (data["train_categories"][:, 0] > 0).all()
    assert len(data["train_categories"][:, 0].unique()) == data["train_categories"][:, 0].max() == 4
    assert [32] * 4 == data["vocabulary"].tolist()
    cells = data["train_temp_f"][data["train_valid"]]
    assert (cells.mean(), cells.std()) == (data["temp_mean_f"], data["temp_sd_f"])


def test_measured_conditions_and_curves_are_those_of_the_file(tmp_path):
    """The finish over 425 F, no flavors, a temperature every 15 s; padding repeats the last one of the curve."""
    entries = [profile(i, f"Bean {i // 2}") for i in range(12)]
    case = CASE.on_file(write(tmp_path / "p.jsonl", entries))
    data = case.make_data(case.settings, 0)
    read = set()
    for half in ("train", "val"):
        rows = zip(data[f"{half}_temp_f"], data[f"{half}_valid"], data[f"{half}_continuous"], strict=True)
        for curve, valid, continuous in rows:
            entry = next(e for e in entries if e["bean_temp_f"][::15] == curve[valid].tolist())
            assert [entry["target_finish_temp_f"] / 425] == continuous.tolist()
            assert (curve[~valid] == entry["bean_temp_f"][::15][-1]).all()
            read.add(entry["id"])
        assert 0 == data[f"{half}_flavors"].shape[1]
    assert {entry["id"] for entry in entries} == read


def test_vocabularies_have_room_for_the_unknown_category():
    """32 slots, or the next power of two above the categories that train: what validation has makes none."""
    bean = {"product": "bean", "finish_f": 400.0, "temp_f": (1.0, 2.0)}
    counts = (1, 31, 32, 100)
    profiles = tuple(Profile(categories=tuple(str(i % n) for n in counts), **bean) for i in range(200))
    assert (32, 32, 64, 128) == vocabulary_sizes(profiles, torch.arange(200) < 100)


@pytest.mark.parametrize("scale", ["raw", "range", "zscore"])
def test_measured_temperatures_are_scaled_as_generated_ones(tmp_path, scale):
    """On a user's file, too, a scale is one of degrees, of [100, 500] F, or of the training half's own mean and sd."""
    case = CASE.on_file(write(tmp_path / "p.jsonl", [profile(i, f"Bean {i // 2}") for i in range(12)]))
    data = case.make_data(replace(case.settings, input_scale=scale, target_scale=scale), 0)
    cells = data["train_temp_f"][data["train_valid"]].numpy()
    mean, sd = cells.mean(), cells.std(ddof=1)
    at_100_and_500 = {"raw": (100, 500), "range": (0, 1), "zscore": ((100 - mean) / sd, (500 - mean) / sd)}[scale]
    for side in ("input", "target"):
        ends = scaled(torch.tensor([100.0, 500.0], dtype=torch.float64), data, side)
        assert pytest.approx(at_100_and_500, abs=1e-12) == ends.tolist()


def test_measured_case_is_the_case_on_other_data(measured):
    """A user's file changes the data, their sizes and their hash alone; the case can be sent to another process."""
    case, n = CASE.on_file(measured), len(read_profiles(measured))
    n_train, vocabulary = mode(measured_sizes(read_profiles(measured), seed) for seed in range(CASE.seeds))
    sizes = {"n_train": n_train, "n_val": n - n_train, "vocabulary": vocabulary, "n_flavors": 0}
    assert (replace(CASE.settings, **sizes), CASE.variants, CASE.claims) == (case.settings, case.variants, case.claims)
    assert CASE.data_source != case.data_source
    sent = pickle.loads(pickle.dumps(replace(case, claims=())))  # noqa: S301 - our own bytes
    here, there = (each.make_data(each.settings, 0) for each in (case, sent))
    assert here.keys() == there.keys()
    assert all(torch.equal(here[name], there[name]) for name in here)


def test_measured_seeds_of_one_size_train_stacked_to_the_runs_of_the_plain_loop(tmp_path):
    """Variants and seeds of a user's file share a stack; in float64 each run is the plain loop's but for rounding.

    Products of one or two profiles, most of them of one, fill a fifth of twenty exactly, whatever their order.
    """
    case = CASE.on_file(write(tmp_path / "p.jsonl", [profile(i, f"Bean {max(i - 6, i // 2)}") for i in range(20)]))
    case = replace(case, settings=replace(case.settings, steps=5, grid_s=60))
    jobs = [Job(case, name, seed, dtype="float64") for name in ("zscore", "raw_targets") for seed in range(3)]
    assert [tuple(jobs)] == plan_tasks(jobs)
    for stacked, job in zip(train_task(tuple(jobs)), jobs, strict=True):
        single = train_single(job)
        assert single.metrics == pytest.approx(stacked.metrics, rel=1e-9)  # float64 sums in another order
        assert (single.stream, single.exact) == (stacked.stream, stacked.exact)


def test_measured_profiles_train(measured):
    """The real path: a few steps on measured profiles, every declared metric finite."""
    case = CASE.on_file(measured)
    run = train_single(Job(replace(case, settings=replace(case.settings, steps=4)), "zscore", 0))
    assert np.isfinite(list(run.metrics.values())).all()
    assert run.data != "generated"


BAD = [
    (
        "not JSON",
        lambda lines: [*lines[:3], "{oops", *lines[4:]],
        r":4: not JSON that can be read \(Expecting property name",
    ),
    ("a list", lambda lines: ["[1]", *lines[1:]], r":1: a list; a JSON object"),
    (
        "missing key",
        lambda lines: [*lines[:1], '{"id": "a-1"}', *lines[2:]],
        r":2: key 'bean_temp_f' is missing; it has: id",
    ),
    (
        "text",
        lambda lines: [lines[0].replace("[", '["hot", ', 1), *lines[1:]],
        r":1: bean_temp_f\[0\] is 'hot'; a finite number",
    ),
    (
        "NaN",
        lambda lines: [lines[0].replace("[", "[NaN, ", 1), *lines[1:]],
        r":1: bean_temp_f\[0\] is nan; a finite number",
    ),
    ("few", lambda lines: lines[:9], r": 9 profiles; at least 10"),
    (
        "constant",
        lambda lines: [json.dumps(profile(0, bean_temp_f=[400.0] * 600)), *lines[1:]],
        r":1: bean_temp_f does not vary",
    ),
    (
        "same",
        lambda lines: [lines[0], *(lines[0].replace("Bean 0-0", f"B {i}-0") for i in range(9))],
        r"same temperatures",
    ),
    ("one product", lambda lines: [json.dumps(profile(i)) for i in range(12)], r"one product only \('Bean'\)"),
    (
        "short",
        lambda lines: [json.dumps(profile(0, bean_temp_f=[1.0, 2.0])), *lines[1:]],
        r":1: bean_temp_f has 2 values",
    ),
    (
        "a minute a value",
        lambda lines: [json.dumps(profile(0, bean_temp_f=[150.0 + 30 * minute for minute in range(31)])), *lines[1:]],
        r":1: bean_temp_f rises by 1800 F/min from its lowest value to its end, a roast by 5 to 100",
    ),
    (
        "no list",
        lambda lines: [json.dumps(profile(0, bean_temp_f="hot")), *lines[1:]],
        r":1: bean_temp_f is 'hot'; a list",
    ),
    ("number as text", lambda lines: [json.dumps(profile(0, origin=3)), *lines[1:]], r":1: origin is 3; a text"),
    (
        "huge",
        lambda lines: [lines[0].replace("[", f"[{10**400}, ", 1), *lines[1:]],
        r":1: bean_temp_f\[0\] is 1000.*finite",
    ),
    ("huger", lambda lines: ["[" + "9" * 5000 + "]", *lines[1:]], r":1: not JSON that can be read \(Exceeds the limit"),
    ("deep", lambda lines: ["[" * 100_000, *lines[1:]], r":1: not JSON that can be read \(maximum recursion"),
    ("binary", None, r"cannot be read \(it is not UTF-8 text\)"),
    ("missing", None, r"cannot be read \(No such file or directory\)"),
]


@pytest.mark.parametrize(("kind", "spoil", "message"), BAD, ids=[kind for kind, *_ in BAD])
def test_bad_profiles_are_answered_with_file_and_line(tmp_path, kind, spoil, message):
    """One clear line: the file, the line's number, the value, what would be right."""
    path = tmp_path / "profiles.jsonl"
    if kind == "binary":
        path.write_bytes(b"\xff\xfe\x00")
    elif spoil:
        lines = [json.dumps(profile(i, f"Bean {i // 3}")) for i in range(12)]
        path.write_text("\n".join(spoil(lines)) + "\n")
    with pytest.raises(UsageError, match=message) as error:
        read_profiles(path)
    assert str(error.value).startswith(str(path))
    assert "\n" not in str(error.value)


def test_a_line_ends_where_a_line_ends(tmp_path):
    """A line separator inside a text is part of the text, so that profiles and line numbers stay what they are."""
    entries = [profile(i, f"Bean {i // 3}", origin="Gui\u2028ji") for i in range(12)]
    path = tmp_path / "profiles.jsonl"
    path.write_text("\n".join(json.dumps(entry, ensure_ascii=False) for entry in entries), encoding="utf-8")
    assert 12 == len(read_profiles(path))
