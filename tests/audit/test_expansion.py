"""The statements of the expansion record: against second computations, and on inputs that must turn their verdicts."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.stats import spearmanr

from goldmark.audit import Computed, answer, statements_of, variants_of
from goldmark.audit.expansion import _numbers as numbers
from goldmark.audit.expansion import _training, _weights
from goldmark.audit.expansion._trials import rank_correlation, score_part
from goldmark.case import Baseline, Run
from goldmark.cases.expansion import CASE
from goldmark.checks import simulated_log_sigma

FAST = [statement for statement in statements_of("expansion") if statement.scale == "fast"]
READ = [statement for statement in FAST if statement.variants]


def drawn(seed, value=None):
    """Five runs of every variant with metrics of their own, drawn, or all of one value."""
    draw = random.Random(seed)  # noqa: S311 - no secrets are drawn

    def metrics():
        return {metric.name: draw.random() * 10**-seed if value is None else value for metric in CASE.metrics}

    blank = {
        **dict.fromkeys(("findings", "learning_rates"), ()),
        **{key: {} for key in ("exact", "close", "fingerprint", "sources")},
        "case": "expansion",
        "scale": "fast",
        "stream": "",
        "data": "generated",
        "seconds": 0.0,
    }
    return {
        variant: [
            Run(
                **blank,
                variant=variant,
                seed=place,
                metrics=metrics(),
                history=(metrics(), metrics(), metrics()),
                baselines=(Baseline(name="predict_every_bar", says="", metrics=metrics()),),
            )
            for place in range(5)
        ]
        for variant in variants_of("expansion")
    }


# --- second computations


@pytest.mark.parametrize("features", [12, 13])
def test_parameters_are_those_of_the_layers_added_up(features):
    """Four gates a direction; per-bar heads on 192; a pooled layer of 64 before 3 classes and 2 pointers; 4 sigmas."""
    lstm = 2 * 4 * 96 * (features + 96 + 2)
    heads = 2 * 193 + 193 * 64 + 65 * 3 + 65 * 2
    assert lstm + heads + 4 == numbers.n_parameters(features)


def test_sigmas_are_simulated_on_losses_between_the_rows():
    """Six steps an epoch on the line that numpy draws between the table's epochs."""
    for term in numbers.SIGMA:
        rows = [epoch.terms[term] for epoch in numbers.TABLE.values()]
        losses = np.interp(np.arange(600) / 6, [0, 9, 19, 49, 99], rows).tolist()
        expected = math.exp(simulated_log_sigma(losses, -0.3 if term == "pointers" else 0.0, 1e-3))
        assert pytest.approx(expected, rel=1e-6) == numbers.simulated_sigma(term)  # the start is kept in float32


def huber(errors, delta):
    """Huber's loss by its definition."""
    size = np.abs(errors)
    return float(np.mean(np.where(size <= delta, size**2 / 2, delta * (size - delta / 2))))


def test_constants_score_what_loops_give():
    """Countdown of a constant, of the bar's number, and pointers of a constant, from all spans in numpy."""
    spans = [(start, length) for length in range(4, 12) for start in range(105 - length + 1)]
    countdown = np.array([[np.clip(start - bar, -20, 20) for bar in range(105)] for start, _ in spans], float)
    assert pytest.approx(huber(countdown, 1.0), rel=1e-12) == numbers.countdown_loss_at_zero()
    assert pytest.approx(huber(countdown, 10.0), rel=1e-12) == numbers.countdown_loss_at_zero(10.0)
    best = [
        minimize_scalar(lambda x, column=column: huber(column - x, 1.0), bounds=(-20, 20), method="bounded").fun
        for column in countdown.T[::26]
    ]
    whole = [min(huber(column - x, 1.0) for x in range(-20, 21)) for column in countdown.T]
    assert pytest.approx(np.mean(whole), rel=1e-12) == numbers.countdown_loss_of_bar_index()
    assert pytest.approx(np.mean(best), rel=0.01) == np.mean(whole[::26])  # whole numbers are as good as any
    pointers = np.array([[start + length / 2, length] for start, length in spans]) / 105
    assert (
        pytest.approx(huber(pointers - pointers.mean(axis=0), 0.08), rel=1e-9) == numbers.pointers_loss_of_a_constant()
    )


def test_marking_every_bar_is_counted():
    """F1 from hits and false alarms of one window."""
    span = np.arange(105) < 8
    precision, recall = span.mean(), 1.0
    assert pytest.approx(2 * precision * recall / (precision + recall)) == numbers.f1_of_every_bar(8 / 105)
    counted = [2 * n / (2 * n + (96 - n)) for n in range(5, 11)]
    assert pytest.approx(np.mean(counted), rel=1e-12) == numbers.mean_f1_of_every_bar(5, 10, 96)


def test_shares_follow_from_sigmas_and_losses():
    """The documented 71.95 % by hand."""
    sigma, loss = [0.83, 0.41, 0.60, 1.47], [0.68, 0.009, 0.28, 10.08]
    counting = np.array(loss) / (2 * np.array(sigma) ** 2)
    assert pytest.approx(counting[3] / counting.sum(), rel=1e-12) == numbers.effective_share("countdown")


def test_rank_correlation_is_scipy_s():
    """With ties, as F1 has many of 0; NaN is none."""
    draw = random.Random(0)  # noqa: S311 - no secrets are drawn
    xs, ys = ([draw.randrange(6) for _ in range(40)] for _ in range(2))
    assert pytest.approx(spearmanr(xs, ys).statistic, rel=1e-9) == rank_correlation(xs, ys)
    assert math.isnan(rank_correlation([*xs, math.nan], [*ys, 1.0]))


# --- inputs that turn verdicts


@pytest.mark.parametrize("statement", READ, ids=lambda statement: statement.name)
def test_what_is_measured_depends_on_the_runs(statement):
    """Other runs give other numbers, part by part; runs that diverged confirm nothing."""
    rows = [answer("expansion", statement, {"fast": drawn(seed)}) for seed in (0, 2)]
    for part, *readings in zip(statement.parts, *(row.readings for row in rows), strict=True):
        same = readings[0].value == readings[1].value
        assert same == isinstance(part, Computed), part.says
    diverged = answer("expansion", statement, {"fast": drawn(0, math.nan)}).readings
    assert not [
        r.says for part, r in zip(statement.parts, diverged, strict=True) if r.ok and not isinstance(part, Computed)
    ]


def test_another_table_turns_what_is_computed_from_it(monkeypatch):
    """A countdown that is a tenth: the total no longer adds up, and the countdown is most of the loss no more."""
    statements = {statement.name: statement for statement in FAST}
    settled = statements["settled_sigma_countdown"]
    before = [_training._total(100), statements["countdown_dominates"], settled]  # noqa: SLF001
    small = numbers.TABLE[100]._replace(countdown=1.008)
    assert [True] * 3 == [statement.parts[0].read({}).ok for statement in before]
    monkeypatch.setitem(numbers.TABLE, 100, small)
    after = [_training._total(100), statements["countdown_dominates"], settled]  # noqa: SLF001
    assert [False] * 3 == [statement.parts[0].read({}).ok for statement in after]


def test_other_sigmas_turn_shares_and_weights(monkeypatch):
    """A countdown's sigma where it settles gives other shares, and other weights."""
    statements = {statement.name: statement for statement in FAST}
    names = ("countdown_weight", "effective_share_countdown", "effective_share_type")
    assert [True] * 3 == [statements[name].parts[0].read({}).ok for name in names]
    monkeypatch.setitem(numbers.SIGMA, "countdown", 3.17)
    assert [False] * 3 == [statements[name].parts[0].read({}).ok for name in names]


@pytest.mark.parametrize(
    ("documented", "confirm", "refute"), [(0.002, 0.09, 0.11), (0.6, 0.31, 0.29), (0.3, 0.59, 0.61)]
)
def test_cells_of_trials_have_one_rule(documented, confirm, refute):
    """Below .1 a mean of at most .1, else a factor of two; the rule knows no measured number."""
    part = score_part("weak_clipped", "span_f1", documented)
    assert [True, False] == [part.read(drawn(0, value)).ok for value in (confirm, refute)]


def test_every_number_of_the_tables_is_in_a_statement():
    """Five epochs, four sigmas and shares, and the trials' rows and columns."""
    names = {statement.name for statement in statements_of("expansion")}
    assert {f"total_at_epoch_{epoch}" for epoch in (1, 10, 20, 50, 100)} <= names
    assert {
        f"{kind}_{term}" for kind in ("sigma", "effective_share", "settled_share") for term in _weights.SIGMA
    } <= names
    cells = [name for name in names if name.startswith("trial_")]
    assert 35 + 8 + 7 + 7 + 3 == len(cells)  # A, A at full size, S, W, and marking every bar
