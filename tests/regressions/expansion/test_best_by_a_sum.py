"""The best checkpoint was chosen by the raw sum of losses, of which the countdown is nine tenths: not by what counts.

With a class weight the span is found while the countdown still has most of the sum, so that the two part ways: the sum
falls to the end, and the span's F1 is at its best long before.
"""

from __future__ import annotations

from dataclasses import fields

import pytest

from goldmark.cases.expansion import CASE, ExpansionCase
from goldmark.runs import Job, Keep, checkpoint_path
from goldmark.training._single import train_single
from goldmark.training.checkpoint_file import load_checkpoint

# Variant and seed, with the countdown in bars as in the record. Seeds 5 and 6 were picked of nine: what the sum costs
# differs by seed, .22 to .29 of the F1 for seeds 4 to 6 (checkpoints every three epochs) and about 0 for the others.
DOMINATED = [("pos_weight", 5), ("pos_weight", 6)]
BALANCED = ("normalized_countdown", 0)  # the countdown in [0, 1]
EVERY = 3  # epochs, of 17; the one in the middle, which is evaluated in any case, is among them


class Watched(ExpansionCase):
    """The case as it is, with everything that it evaluates written down."""

    def evaluate(self, model, data, settings):
        """The metrics of the case."""
        rows.append(super().evaluate(model, data, settings))
        return rows[-1]


rows = []


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """By variant and seed, the metrics of every epoch that was kept, and which of them is the best checkpoint."""
    case = Watched(**{field.name: getattr(CASE, field.name) for field in fields(CASE)})
    trained = {}
    for variant, seed in (*DOMINATED, BALANCED):
        rows.clear()
        job = Job(case, variant, seed, keep=Keep(folder=tmp_path_factory.mktemp("kept"), every=EVERY))
        n_epochs = len(train_single(job).history)
        epochs = [*range(EVERY, n_epochs + 1, EVERY)] + [n_epochs] * (n_epochs % EVERY > 0)
        best = load_checkpoint(checkpoint_path(job.keep.folder, job, "best")).metadata["best"]
        trained[variant, seed] = rows[1:], epochs.index(best["epoch"])  # the first epoch is evaluated and not kept
        assert len(epochs) == len(rows[1:])
    return trained


def chosen_by_sum(evaluated):
    """The broken form: the place of the checkpoint with the lowest sum of losses."""
    return min(range(len(evaluated)), key=lambda place: evaluated[place]["loss_sum"])


def f1_lost(evaluated, chosen):
    """By how much a chosen checkpoint finds spans worse than the best one among those kept."""
    return max(row["span_f1"] for row in evaluated) - evaluated[chosen]["span_f1"]


@pytest.mark.parametrize("run", DOMINATED)
def test_best_checkpoint_is_the_one_that_finds_spans_best(kept, run):
    """Chosen by the metric that the case declares, nothing is lost."""
    evaluated, chosen = kept[run]
    row = evaluated[chosen]
    assert f1_lost(evaluated, chosen) == 0, (
        f"best checkpoint chosen by a sum that one term dominates, or by something else than span_f1: its F1 is "
        f"{row['span_f1']:.3f}, {f1_lost(evaluated, chosen):.3f} below the best one kept; the countdown is "
        f"{row['countdown_share_raw']:.2f} of its loss"
    )


@pytest.mark.parametrize("run", DOMINATED)
def test_sum_of_losses_chooses_a_worse_one(kept, run):
    """The record's rule, on the same runs: a tenth of F1 and more is lost, while the sum is mostly countdown."""
    evaluated, _ = kept[run]
    chosen = chosen_by_sum(evaluated)
    assert f1_lost(evaluated, chosen) > 0.1
    assert evaluated[chosen]["countdown_share_raw"] > 0.8


def test_sum_does_no_harm_where_no_term_dominates(kept):
    """The control: with the countdown in [0, 1] the same rule loses less than seeds differ by."""
    evaluated, _ = kept[BALANCED]
    assert f1_lost(evaluated, chosen_by_sum(evaluated)) < 0.02
