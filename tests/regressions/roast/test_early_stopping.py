"""RoastFormer's early stopping compared losses with the running minimum: every run "ended at epoch 16".

With patience 15 it stopped in epoch 16, whatever the loss did, and the record took that for convergence.
"""

from __future__ import annotations

import math

from goldmark.checks import check_wrong_stopping, stale_epochs

PATIENCE = 15


def right_rule():
    """A rule as goldmark's users write it."""
    losses = []

    def stop(loss):
        losses.append(loss)
        return stale_epochs(losses) >= PATIENCE

    return stop


def record_s_rule():
    """The record's: a loss is compared with a minimum that it is part of already, and is never below it."""
    best, stale = math.inf, 0

    def stop(loss):
        nonlocal best, stale
        best = min(best, loss)
        stale = 0 if loss < best else stale + 1
        return stale > PATIENCE

    return stop


def previous_rule():
    """A control that looks like a fix: each loss is compared with the one before it."""
    before, stale = math.inf, 0

    def stop(loss):
        nonlocal before, stale
        stale = 0 if loss < before else stale + 1
        before = loss
        return stale >= PATIENCE

    return stop


def stopped_in(rule, losses):
    """The epoch in which a rule stops a run with these losses, or the last one."""
    stop = rule()
    return next((epoch for epoch, loss in enumerate(losses, start=1) if stop(loss)), len(losses))


def test_rule_stops_patience_epochs_after_the_best():
    """Wherever the lowest loss lies, and whether losses or NaN follow it."""
    finding = check_wrong_stopping(right_rule, PATIENCE)
    assert not finding.trouble, f"early stopping does not stop at best + patience: {finding}"


def test_record_s_rule_stops_at_patience_plus_one():
    """It is right about no run, and never looks at a loss; comparing with the previous loss is no fix."""
    assert check_wrong_stopping(record_s_rule, PATIENCE).trouble
    assert check_wrong_stopping(previous_rule, PATIENCE).trouble
    falling, rising = [1 / epoch for epoch in range(1, 60)], [float(epoch) for epoch in range(1, 60)]
    assert [PATIENCE + 1] * 2 == [stopped_in(record_s_rule, losses) for losses in (falling, rising)]


def test_a_run_that_still_learns_is_not_stopped(runs_of):
    """On the losses of a normalized run, which fall to its end, the record's rule stops in epoch 16 of 27."""
    run, *_ = runs_of("roast", ["normalized"])["normalized"]
    losses = [row["train_loss"] for row in run.history]
    best = losses.index(min(losses)) + 1
    assert stopped_in(right_rule, losses) >= best, "early stopping ended a run whose loss was still falling"
    assert PATIENCE + 1 == stopped_in(record_s_rule, losses) < best
