"""RoastFormer's validation rules rejected all 144 real profiles: rates in F/s, held against limits in F/min."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import torch

from goldmark.case import UsageError
from goldmark.cases.roast.data import RISES_F_PER_MIN, _temperatures, generate, rise_f_per_min
from goldmark.cases.roast.full import FULL
from goldmark.checks import check_rejected_data

REAL = os.environ.get("GOLDMARK_ROAST_PROFILES")  # a file of measured profiles, where one is at hand


def reader_accepts(curve_f):
    """Whether the reader of a user's file takes a curve."""
    try:
        _temperatures(curve_f.tolist(), "profiles.jsonl:1")
    except UsageError:
        return False
    return True


def record_s_rule(curve_f):
    """The record's mistake: the rise in degrees a second, held against limits a minute."""
    slowest, fastest = RISES_F_PER_MIN
    return slowest <= rise_f_per_min(curve_f.tolist()) / 60 <= fastest


@pytest.fixture(scope="module")
def roasts():
    """Curves read once a second: measured ones where they are at hand, else generated in their shape."""
    if REAL:
        lines = Path(REAL).read_text(encoding="utf-8").splitlines()
        return [torch.tensor(json.loads(line)["bean_temp_f"]) for line in lines]
    data = generate(FULL.settings, 0)
    return [curve[valid] for curve, valid in zip(data["train_temp_f"], data["train_valid"], strict=True)]


def test_rules_accept_real_roasts(roasts):
    """The reader takes every roast."""
    finding = check_rejected_data(reader_accepts, roasts)
    assert not finding.trouble, f"validation rules reject real data (F/min against F/s): {finding}"


def test_limits_per_minute_reject_rates_per_second(roasts):
    """The record's rule rejects them all."""
    finding = check_rejected_data(record_s_rule, roasts)
    assert (True, 1.0) == (finding.trouble, finding.numbers["rejected_share"])


def test_rules_reject_what_is_no_roast(roasts):
    """A rule that takes everything would be no fix: curves read every 10 s rise ten times too fast, and are refused."""
    assert not any(reader_accepts(curve[::10]) for curve in roasts)
    with pytest.raises(UsageError, match=r"rises by \d+\.?\d* F/min .*; degrees Fahrenheit, one a second"):
        _temperatures(roasts[0][::10].tolist(), "profiles.jsonl:1")


@pytest.mark.parametrize(("minutes", "rise_f"), [(1, 30.0), (5, 20.0)])
def test_rise_is_per_minute(minutes, rise_f):
    """A straight line from the turning point on: its slope, whatever fell before it."""
    line = [150 + rise_f * second / 60 for second in range(60 * minutes + 1)]
    assert pytest.approx(rise_f, rel=1e-12) == rise_f_per_min([420.0, 300.0, *line])
    assert 0 == rise_f_per_min(line[::-1])
