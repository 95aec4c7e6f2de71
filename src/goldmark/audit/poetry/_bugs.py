"""Further bugs of the record, with their numbers."""

from __future__ import annotations

from functools import partial

import torch
from torch import nn

from goldmark.audit._statement import Statement, checked, computed, of_metric
from goldmark.audit.poetry._numbers import (
    cosine_schedule,
    forcing_number,
    largest_deviation,
    last_epoch_is_refused,
    tempered_loss,
    warm_restarts,
)
from goldmark.cases.poetry.full import FULL
from goldmark.checks import check_free_norm

FORCING, RESUME, LOSS = "Poetry record, curriculum", "Poetry record, resume", "Poetry record, enhanced cosine loss"
API = "Poetry record, one-line use and evaluation"
GATES = {"rnn": (nn.RNNCell, 1), "gru": (nn.GRUCell, 3), "lstm": (nn.LSTMCell, 4)}


def rows_over_columns(cell: str) -> float:
    """Return the rows of torch's `weight_hh` over its columns."""
    with torch.device("meta"):
        rows, columns = GATES[cell][0](300, 64).weight_hh.shape
    return float(rows / columns)


def cosine_change() -> float:
    """Return how much a pure cosine loss changes where outputs are twice as large, over the loss."""
    outputs, targets = torch.eye(3, dtype=torch.float64), torch.ones(3, 3, dtype=torch.float64)
    return check_free_norm(lambda x: 1 - nn.functional.cosine_similarity(x, targets).mean(), outputs).numbers["change"]


BUGS = (
    Statement(
        name="forcing_per_batch_mixes_none",
        source=FORCING,
        says="drawn once a batch, at ratio .5, 0 of 200 batches are mixed, and the forced share has sd .500",
        documented=0.5,
        why="one draw decides for all steps",
        parts=(
            computed("sd of the forced share", lambda: forcing_number("per batch", "sd_of_share"), near=0.5, rel=0.1),
            computed("mixed of 200", lambda: 200 * forcing_number("per batch", "share_mixed"), low=0.0, high=0.0),
        ),
    ),
    Statement(
        name="forcing_per_step_mixes_all",
        source=FORCING,
        says="drawn once a step, 200 of 200 batches are mixed, and the forced share has sd .147",
        documented=0.147,
        why="the share of 12 fair draws has sd sqrt(.25 / 12) = .144",
        parts=(
            computed("sd of the forced share", lambda: forcing_number("per step", "sd_of_share"), near=0.147, rel=0.1),
            computed("mixed of 200", lambda: 200 * forcing_number("per step", "share_mixed"), low=200.0, high=200.0),
        ),
    ),
    Statement(
        name="forcing_per_batch_costs_no_score",
        source=FORCING,
        says="no worse in the metric: .869 per batch, .858 per step",
        documented=0.011,
        why="both force the same share of steps over a training",
        parts=checked(FULL.claim("forcing_per_batch_costs_no_score").check),
        scale="full",
    ),
    *(
        Statement(
            name=f"{variant}_scores",
            source=FORCING,
            says=f"token cosine {score} with forcing {way}",
            documented=score,
            why="at full size; the trial was on small data",
            parts=(of_metric(variant, "token_cosine", near=score, rel=0.1),),
            scale="full",
        )
        for variant, way, score in (("forced_per_batch", "per batch", 0.869), ("forced", "per step", 0.858))
    ),
    Statement(
        name="leak_shows_in_the_gap",
        source="Poetry record, attention decoders",
        says="both attention decoders feed target t + 1 at step t; forced - free cosine .454 against .118",
        documented=0.336,
        why="a decoder that is fed its answer learns to copy, which it cannot in free running",
        parts=checked(FULL.claim("leak_shows_while_forced").check),
        scale="full",
    ),
    *(
        Statement(
            name=f"{variant}_gap",
            source="Poetry record, attention decoders",
            says=f"forced - free cosine {gap} {what}",
            documented=gap,
            why="on independent words, where the last word says nothing of the next",
            parts=(of_metric(variant, "forced_gap", near=gap, rel=0.25),),
            scale="full",
        )
        for variant, what, gap in (("iid_forced_leak", "with the leak", 0.454), ("iid_forced", "without", 0.118))
    ),
    Statement(
        name="last_epoch_raises",
        source=RESUME,
        says="a scheduler with last_epoch on a fresh optimiser raises KeyError",
        documented=1,
        why="without `initial_lr` in its groups an optimiser does not tell where the schedule began",
        parts=(computed("raises KeyError", last_epoch_is_refused, low=1.0),),
    ),
    Statement(
        name="right_order_resumes",
        source=RESUME,
        says="optimiser, then the scheduler's own state: the trace of learning rates deviates by 0",
        documented=0.0,
        why="the schedule's place is in the scheduler's state",
        parts=(
            computed("cosine", partial(largest_deviation, cosine_schedule, load_scheduler=True), high=0.0),
            computed("warm restarts", partial(largest_deviation, warm_restarts, load_scheduler=True), high=0.0),
        ),
    ),
    Statement(
        name="fresh_cosine_deviates",
        source=RESUME,
        says="the documented fix, a fresh scheduler, runs but is wrong: largest deviation .332 with a cosine",
        documented=0.332,
        why="a fresh cosine takes the loaded rate for its first one; the largest over all epochs of resuming",
        parts=(computed("cosine", partial(largest_deviation, cosine_schedule, load_scheduler=False), near=0.332),),
    ),
    Statement(
        name="fresh_restarts_deviate",
        source=RESUME,
        says="the documented fix, a fresh scheduler, runs but is wrong with warm restarts as well",
        why="in periods of 10 epochs, the restarts come at other epochs; the largest over all epochs of resuming",
        parts=(computed("warm restarts", partial(largest_deviation, warm_restarts, load_scheduler=False), low=0.01),),
    ),
    *(
        Statement(
            name=f"{name}_deviate_by",
            source=RESUME,
            says=f"largest deviation of the learning rates, {way}: {deviation}",
            documented=deviation,
            why="the periods of the restarts and the epoch of the resume are not in the record, and decide the number",
        )
        for name, way, deviation in (
            ("fresh_restarts", "fresh warm restarts", 0.586),
            ("resumes_of_the_repository", "the repository's own way", 0.621),
        )
    ),
    Statement(
        name="checkpoints_need_pickle",
        source="Poetry record, checkpoints",
        says="checkpoints with numpy scalars fail under weights_only=True, and the safety was turned off",
        why="a statement about the record's own files, which are not at hand",
    ),
    Statement(
        name="metadata_keys_differ",
        source="Poetry record, metadata",
        says="the poem of a window is written as poem_index and read as poem_idx",
        why="a statement about the record's own files; `checks.check_missing_keys` finds it in any reader",
    ),
    *(
        Statement(
            name=f"{cell}_is_read_from_its_rows",
            source="Poetry record, loading of checkpoints",
            says=f"rows over columns of weight_hh are {gates} for {name}",
            documented=gates,
            why="one block of rows a gate",
            parts=(computed("rows / columns", partial(rows_over_columns, cell), near=gates, rel=0.0),),
        )
        for (cell, (_, gates)), name in zip(
            GATES.items(), ("a vanilla RNN", "a GRU, mistaken for vanilla", "an LSTM"), strict=True
        )
    ),
    Statement(
        name="arguments_are_swallowed",
        source=API,
        says="unknown keyword arguments are swallowed: use_attention=True does nothing",
        why="a statement about the record's own function; `checks.check_swallowed_arguments` finds it in any",
    ),
    Statement(
        name="improvement_is_infinite",
        source="Poetry record, comparison script",
        says="the new model is +inf % better than the old one",
        why="the old model was scored as zeros; its documented score is .593, the new one's .622",
        parts=(computed("improvement in percent", lambda: 100 * (0.622 / 0.593 - 1), low=1e6),),
    ),
    Statement(
        name="evaluation_returns_constants",
        source=API,
        says="evaluate() returns the same scores for every model",
        why="a statement about the record's own function; `checks.check_constant_scores` finds it in any",
    ),
    Statement(
        name="best_metric_is_lost",
        source=RESUME,
        says="the best metric is not stored, so that a resume overwrites the best model",
        why="a statement about the record's own checkpoints, which are not at hand",
    ),
    Statement(
        name="temperature_jumps",
        source=LOSS,
        says="the loss is discontinuous where its temperature is 1",
        why="tanh(cosine / temperature), except at 1, where it is the cosine: the jump at a cosine of .62 stands here",
        parts=(
            computed(
                "loss at 1.000001 - loss at 1",
                lambda: tempered_loss(0.62, 1.000001) - tempered_loss(0.62, 1.0),
                low=0.01,
            ),
        ),
    ),
    Statement(
        name="cosine_leaves_the_norm_free",
        source=LOSS,
        says="a pure cosine loss leaves the norm of an output free",
        documented=0.0,
        why="cosines do not change with the length of a vector",
        parts=(computed("change of the loss for outputs twice as long", cosine_change, low=0.0, high=0.0),),
    ),
    Statement(
        name="cosine_costs_r2",
        source=LOSS,
        says="a pure cosine loss leaves R^2 at -2.67",
        documented=-2.67,
        why="the norm is free, and so is the squared error; how large it becomes is a matter of the initial weights",
        parts=(of_metric("cosine", "r2", high=0.0),),
        scale="full",
    ),
)
