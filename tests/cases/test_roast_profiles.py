"""The path of measured roast profiles."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from goldmark.case import UsageError
from goldmark.cases.roast import CASE
from goldmark.cases.roast.profiles import on_measured, read_profiles
from goldmark.training.plan import Job
from goldmark.training.single import train_single

REAL = os.environ.get("GOLDMARK_ROAST_PROFILES")  # a file of measured profiles, where one is at hand


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
    case, profiles = on_measured(CASE, measured), read_profiles(measured)
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
    case = on_measured(CASE, write(tmp_path / "p.jsonl", entries))
    data = case.make_data(case.settings, 0)
    assert (data["val_categories"][:, 0] == 0).all()
    assert (data["train_categories"][:, 0] > 0).all()
    assert len(data["train_categories"][:, 0].unique()) + 1 == data["vocabulary"][0]
    cells = data["train_temp_f"][data["train_valid"]]
    assert (cells.mean(), cells.std()) == (data["temp_mean_f"], data["temp_sd_f"])


def test_measured_profiles_train(measured):
    """The real path: a few steps on measured profiles, every declared metric finite."""
    case = on_measured(CASE, measured)
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
