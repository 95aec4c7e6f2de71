"""Large arrays in the comparator: what their summaries tell of a change, and what a tolerance allows of it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from goldmark.golden._compare.drift import Drift, Tier, difference, show
from goldmark.golden._files.arrays import sampled_places
from goldmark.golden._files.entries import Close

_STATISTICS = ("min", "max", "mean", "sd", "norm")


def other_entries(tier: Tier, key: str, golden: Mapping[str, Any], got: Mapping[str, Any]) -> Drift:
    """Return the drift of an array of which other entries were recorded, with what its summary tells of the change."""
    places = sampled_places(golden["n"])
    pairs = zip(places, golden["sample"], got["sample"], strict=False)
    moved = [(place, a, b) for place, a, b in pairs if not _same(a, b)]
    told = [f"{name} {show(golden[name])} -> {show(got[name])}" for name in _STATISTICS if golden[name] != got[name]]
    told.append(f"{len(moved)} of {len(places)} sampled entries differ")
    if moved:
        place, a, b = moved[0]
        told.append(f"the first at {place}: {show(a)} -> {show(b)}")
    text = f"{tier} {key}: other entries, sha256 {golden['sha256'][:8]}, got {got['sha256'][:8]} ({', '.join(told)})"
    return Drift(tier=tier, key=key, golden=golden["sha256"], got=got["sha256"], size=math.inf, text=text)


def summary_drifts(key: str, golden: Mapping[str, Any], got: Mapping[str, Any], rule: Close) -> Iterator[Drift]:
    """Yield which statistics and sampled entries of an array moved by more than a tolerance allows.

    An array of which every entry, or the norm of the change, lies within the tolerance yields nothing: what each
    statistic can move by then is its own tolerance. Equal hashes are equal entries; without a tolerance they decide.
    """
    if golden["sha256"] == got["sha256"] and (rule.equal_nan or not got["nan"]):
        return
    if golden["n"] != got["n"]:  # a drift of its own, by the shape
        return
    if golden["nan"] != got["nan"] or (got["nan"] and not rule.equal_nan):
        yield difference("close", f"{key}, NaN", golden["nan"], got["nan"])
        return
    if not (rule.rel or rule.abs):
        yield other_entries("close", key, golden, got)
        return
    for name, allowed in _allowed(golden, rule).items():
        yield from _outside(f"{key}, {name}", golden[name], got[name], allowed)
    yield from _sample_drift(key, golden, got, rule)


def _allowed(golden: Mapping[str, Any], rule: Close) -> dict[str, float]:
    """Return how far each statistic of an array can move where its entries stay within the tolerance.

    With t the norm of the change that is allowed, and n entries that are not NaN: the mean and the sd move by
    t / sqrt n at most, the norm and the extremes by t. Entry by entry t is rel * norm + abs * sqrt n, and an extreme
    moves by its own tolerance.
    """
    root = math.sqrt(max(golden["n"] - golden["nan"], 1))
    largest = max(abs(golden["min"]), abs(golden["max"]))
    change = {
        None: rule.rel * golden["norm"] + rule.abs * root,
        "max": (rule.rel * largest + rule.abs) * root,
        "l2": rule.rel * golden["norm"] + rule.abs,
    }[rule.norm]
    extreme = {"max": rule.rel * largest + rule.abs, "l2": change}
    return {
        "min": extreme.get(rule.norm or "", rule.rel * abs(golden["min"]) + rule.abs),
        "max": extreme.get(rule.norm or "", rule.rel * abs(golden["max"]) + rule.abs),
        "mean": change / root,
        "sd": change / root,
        "norm": change,
    }


def _outside(key: str, golden: float, got: float, allowed: float) -> Iterator[Drift]:
    size = _in_tolerances(abs(got - golden), allowed)
    if size > 1:
        yield difference(
            "close", key, golden, got, size=size, in_tolerances=f"{size:.3g} times what the tolerance allows"
        )


def _sample_drift(key: str, golden: Mapping[str, Any], got: Mapping[str, Any], rule: Close) -> Iterator[Drift]:
    """Yield the sampled entry that is the farthest outside; in the l2 norm no part may move more than the whole."""
    sizes = {
        place: _in_tolerances(_apart(a, b), _allowed_of_entry(a, golden, rule))
        for place, a, b in zip(sampled_places(golden["n"]), golden["sample"], got["sample"], strict=True)
    }
    outside = {place: size for place, size in sizes.items() if size > 1}
    if outside:
        place = max(outside, key=lambda place: outside[place])
        at = list(sizes).index(place)
        a, b = golden["sample"][at], got["sample"][at]
        note = f"{len(outside)} of {len(sizes)} sampled entries are outside, this one the farthest"
        yield difference("close", f"{key}, entry {place}", a, b, size=outside[place], note=note)


def _allowed_of_entry(entry: float, golden: Mapping[str, Any], rule: Close) -> float:
    if rule.norm is None:
        return rule.rel * abs(entry) + rule.abs
    size: float = max(abs(golden["min"]), abs(golden["max"])) if rule.norm == "max" else golden["norm"]
    return rule.rel * size + rule.abs


def _apart(golden: float, got: float) -> float:
    return 0.0 if _same(golden, got) else float(abs(got - golden))


def _same(golden: float, got: float) -> bool:
    return bool(golden == got or (golden != golden and got != got))  # noqa: PLR0124 (NaN)


def _in_tolerances(apart: float, allowed: float) -> float:
    if apart == 0:
        return 0.0
    return apart / allowed if allowed and math.isfinite(apart) else math.inf
