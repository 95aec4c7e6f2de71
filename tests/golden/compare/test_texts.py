"""What a person reads when goldens do not hold, word for word: syrupy holds the texts."""

from __future__ import annotations

from dataclasses import replace

from syrupy.assertion import SnapshotAssertion

from goldmark.golden._compare.messages import message
from goldmark.golden._compare.tiers import compare
from goldmark.golden._files.entries import Close, Golden, Provenance, Result, update_command
from goldmark.golden._record.entry import golden_from, statistical_entry
from goldmark.golden._record.refusals import refusals

SEEDS = [str(seed) for seed in range(12)]
LOSS = {seed: 1 + 0.01 * (7 * int(seed) % 5) for seed in SEEDS}
BUG = {seed: 3 + 0.01 * (3 * int(seed) % 5) for seed in SEEDS}
STREAM = {seed: f"hash {seed}" for seed in SEEDS}
ORIGIN = {"fingerprint": {"device": "cpu"}, "sources": {"train.py": "11"}}


def loss(values: dict[str, float] = LOSS, **rule: object):
    """A metric of twelve seeds with its bug two units away."""
    return statistical_entry(
        values, **{"scale": "identity", "margin": 0.05, "better": "lower", "guard": "bug", "guard_values": BUG} | rule
    )


SAME = Result(
    name="test_train/test_all",
    exact={"n_parameters": 1203, "recipe": {"lr": 0.1}},
    close={"rates": Close([0.1 * 0.9**step for step in range(20)])},
    statistical={"loss": loss()},
    stream=STREAM,
    **ORIGIN,
)


def golden_of(result: Result) -> Golden:
    """A golden of a result, recorded with its code."""
    origin = Provenance(date="2026-01-02", reason="first", commit=None, versions={}, **ORIGIN)
    return golden_from(result, (origin,))


def told(**changes: object) -> str:
    """The message of a result that differs in some fields, from code that has changed."""
    result = replace(SAME, sources={"train.py": "22"}, **changes)
    return "\n".join(message(compare(golden_of(SAME), result), update_command("test_train.py::test_all")))


def test_all_tiers_in_one_list(snapshot: SnapshotAssertion) -> None:
    """Wrong counts, a tenth of the learning rate and a metric at the bug's value."""
    changes = {"exact": {"n_parameters": 1204, "recipe": {"lr": 0.01}}, "statistical": {"loss": loss(BUG)}}
    rates = Close([0.01 * 0.9**step for step in range(20)])
    assert snapshot == told(**changes, close={"rates": rates})


def test_lengths(snapshot: SnapshotAssertion) -> None:
    """A schedule that ends early."""
    assert snapshot == told(close={"rates": Close([0.1 * 0.9**step for step in range(12)])})


def test_fewer_seeds(snapshot: SnapshotAssertion) -> None:
    """Seven of twelve."""
    assert snapshot == told(statistical={"loss": loss({seed: LOSS[seed] for seed in SEEDS[:7]})})


def test_another_device(snapshot: SnapshotAssertion) -> None:
    """A GPU, for which nothing is recorded."""
    assert snapshot == told(fingerprint={"device": "cuda"})


def test_refusals(snapshot: SnapshotAssertion) -> None:
    """What is said to whoever records something that could not gate."""
    wrong = {
        "constant": loss(dict.fromkeys(SEEDS, 0.25)),
        "swapped": loss(BUG, guard_values=LOSS),
        "few": loss({seed: LOSS[seed] for seed in SEEDS[:4]}),
        "diverged": loss({**LOSS, "3": float("nan")}),
        "wide": loss(margin=3.0),
    }
    assert snapshot == "\n".join(refusals(replace(SAME, statistical=wrong)))
