"""What is measured of a run while it trains, and in which epochs: so little that it costs a few percent of the time.

Nothing here touches the run: a logged one ends with the same bits as one that is not.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor

from goldmark.case import Half, Look, ModelCase
from goldmark.checks import gradient_norms
from goldmark.fingerprint import fingerprint
from goldmark.runs import append_rows, log_folder, made_from, start_logs
from goldmark.training import draws
from goldmark.training._log_rows import (
    EXPLODING,
    VANISHING,
    Row,
    component_row,
    feature_rows,
    gradient_rows,
    probability_row,
    statistics_of,
    uncertainty_row,
)
from goldmark.training._prepare import Prepared, copied, of_step
from goldmark.training._schedule import evaluated_epochs, n_epochs, steps_per_epoch, train_size

WORK = 0.02  # share of the work of training that is spent on each of: looks at the validation half, gradients of terms
STEPS = 20  # from one description of the inputs to the next, or more
FORWARD = 1 / 3  # share of a step's work that its forward pass is; the backward pass computes two products for one


@dataclass(frozen=True, kw_only=True)
class Cadence:
    """Epochs from one measurement to the next; where a run has fewer, it is measured at its end."""

    validation: int  # besides those epochs in which a run is evaluated anyway
    sigmas: int = 5  # this and those below as in the record
    inputs: int = 5  # no more often than once in so many steps
    gradients: int = 10
    terms: int = 10  # gradients of each term: no more often than their work allows


@dataclass
class Log:
    """The log of a run: what is measured, and what is known since the last row."""

    cadence: Cadence
    last: int  # epoch, from 1
    looks: bool  # whether the case has a look
    terms: bool  # whether its loss has more than one term
    epoch_began: float  # s, of `time.perf_counter`
    norms: dict[str, float] = field(default_factory=dict)  # of the gradients of an epoch's last step
    first: dict[str, Row] | None = None  # statistics of the inputs in the first epoch, once they are needed
    rows: dict[str, list[Row]] = field(default_factory=dict)  # by file, not yet written

    def due(self, epoch: int, every: int) -> bool:
        """Return whether an epoch, from 1, is one of every so many."""
        return epoch % min(every, self.last) == 0


def start_log(run: Prepared, sizes: Mapping[str, int]) -> None:
    """Begin the log of a run that is kept, or go on with it from logs of the given sizes."""
    if run.job.keep is None:
        return
    look = _look(run, "train", slice(2))  # tells whether there is any, and how many terms
    n_terms = len(look.weighted) if look else 0
    cadence = _cadence(run, n_terms)
    last = n_epochs(run.settings, train_size(run.data))
    run.log = Log(
        cadence=cadence, last=last, looks=look is not None, terms=n_terms > 1, epoch_began=time.perf_counter()
    )
    start_logs(log_folder(run.job.keep.folder, run.job), sizes, _metadata(run, run.log))


def _cadence(run: Prepared, n_terms: int) -> Cadence:
    """Return how often a run is measured: as in the record, or as often as the work of it allows."""
    steps, n_val = steps_per_epoch(run.settings, train_size(run.data)), _validation_size(run)
    look_steps = FORWARD * n_val / _batch(run)
    terms_steps = FORWARD + n_terms * (1 - FORWARD)
    return Cadence(
        validation=max(1, math.ceil(look_steps / (WORK * steps))),
        inputs=max(Cadence.inputs, math.ceil(STEPS / steps)),
        terms=max(Cadence.terms, math.ceil(terms_steps / (WORK * steps))),
    )


def _validation_size(run: Prepared) -> int:
    return next((len(tensor) for name, tensor in run.data.items() if name.startswith("val_")), 0)


def _metadata(run: Prepared, log: Log) -> dict[str, Any]:
    job = run.job
    return {
        "case": job.case.name,
        "scale": job.case.scale,
        "variant": job.variant,
        "seed": job.seed,
        "epochs": log.last,
        "steps_per_epoch": steps_per_epoch(run.settings, train_size(run.data)),
        "n_parameters": sum(parameter.numel() for parameter in run.model.parameters() if parameter.requires_grad),
        "measured_every": asdict(log.cadence),
        "rows": _batch(run),  # of the training half, always the first
        "gradient_norms": {"vanishing_below": VANISHING, "exploding_above": EXPLODING},
        "made_from": made_from(job),
        "environment": fingerprint(job.device, job.dtype),
    }


def needs_model(run: Prepared, epoch: int) -> bool:
    """Return whether the log of an epoch, from 0, looks at the model as it is then."""
    return run.log is not None and (_looks_in(run, run.log, epoch) or _describes_in(run.log, epoch + 1))


def _looks_in(run: Prepared, log: Log, epoch: int) -> bool:
    evaluated = epoch in evaluated_epochs(run.settings, train_size(run.data))
    terms = log.terms and log.due(epoch + 1, log.cadence.terms)
    return log.looks and (evaluated or terms or log.due(epoch + 1, log.cadence.validation))


def _describes_in(log: Log, epoch: int) -> bool:
    return epoch == 1 or log.due(epoch, log.cadence.sigmas) or log.due(epoch, log.cadence.inputs)


def note_gradients(run: Prepared, epoch: int, gradients: Mapping[str, Tensor | None]) -> None:
    """Note the gradients of the last step of an epoch, from 0, as they are before clipping."""
    if run.log is None or not run.log.due(epoch + 1, run.log.cadence.gradients):
        return
    ordered = ((name, gradients.get(name)) for name, _ in run.model.named_parameters())
    run.log.norms = {name: float(grad.double().square().sum().sqrt()) for name, grad in ordered if grad is not None}


def log_epoch(run: Prepared, step: int, sharers: int = 1) -> None:
    """Take the rows of the epoch that a step, from 0, ended; a stack's time is shared by as many runs."""
    log, epoch = run.log, len(run.history)
    if log is None:
        return
    look = _look(run, "val", slice(None)) if _looks_in(run, log, epoch - 1) else None
    tables: dict[str, list[Row]] = {
        "loss_components": _components(run, log, look),
        "probability_stats": [probability_row(epoch, look.probabilities)] if look and look.probabilities else [],
        "gradient_stats": list(gradient_rows(epoch, log.norms)) if log.norms else [],
        **(_described(run, log, step) if _describes_in(log, epoch) else {}),
    }
    log.norms = {}
    now = time.perf_counter()
    tables["epoch_metrics"] = [_epoch_row(run, log, look) | {"epoch_time": (now - log.epoch_began) / sharers}]
    log.epoch_began = now
    for name, rows in tables.items():
        log.rows.setdefault(name, []).extend(rows)


def write_log(run: Prepared) -> None:
    """Append the rows taken since the last time to the files, just before the checkpoint that knows their sizes."""
    if run.log is None or run.job.keep is None:
        return
    folder = log_folder(run.job.keep.folder, run.job)
    for name, rows in run.log.rows.items():
        if rows:
            append_rows(folder / f"{name}.csv", rows)
    run.log.rows.clear()


def _look(run: Prepared, half: Half, rows: slice) -> Look | None:
    run.model.eval()
    with torch.no_grad():
        look = run.case.look(run.model, run.data, half, rows, run.settings)
    run.model.train()
    return look


def _epoch_row(run: Prepared, log: Log, look: Look | None) -> Row:
    """Return the losses of an epoch and what the look scores; without a look, what the case evaluates."""
    history = run.history[-1]
    row: Row = {"epoch": int(history["epoch"]), "train_loss": history["train_loss"]}
    if not log.looks:
        return row | {name: history.get(name) for name in run.history[0] if name not in row}
    return row if look is None else row | {"val_loss": float(look.loss), **look.scores}


def _components(run: Prepared, log: Log, look: Look | None) -> list[Row]:
    """Return the terms on the validation half, and on some training rows where their gradients are compared."""
    if look is None or not log.terms:
        return []
    epoch = len(run.history)
    rows = [component_row(epoch, "val", look)]
    if log.due(epoch, log.cadence.terms):
        model = copied(run.model).train()  # cuDNN has a backward pass for an LSTM in training alone
        shared = [parameter for name, parameter in model.named_parameters() if run.case.shares_parameter(name)]
        with torch.enable_grad():
            trained = run.case.look(model, run.data, "train", slice(_batch(run)), run.settings)
            if trained is not None:
                rows.append(component_row(epoch, "train", trained, gradient_norms(trained.weighted, shared)))
    return rows


def _described(run: Prepared, log: Log, step: int) -> dict[str, list[Row]]:
    """Return the rows of uncertainty weights and of what the model was shown in a step, each where there is any."""
    epoch, sigmas, described = len(run.history), {}, {}
    if epoch == 1 or log.due(epoch, log.cadence.sigmas):
        sigmas = run.case.sigmas(run.model, run.settings)
    if epoch == 1 or log.due(epoch, log.cadence.inputs):
        described = _shown(run, step)
        if log.first is None:  # the draws follow from the step's number, so that a run which goes on has it too
            log.first = _shown(run, min(steps_per_epoch(run.settings, train_size(run.data)), run.settings.steps) - 1)
    return {
        "uncertainty_params": [uncertainty_row(epoch, sigmas)] if sigmas else [],
        "feature_stats": list(feature_rows(epoch, described, log.first or {})),
    }


def _batch(run: Prepared) -> int:
    return min(run.settings.batch, train_size(run.data))


def _shown(run: Prepared, step: int) -> dict[str, Row]:
    """Return statistics of what a step shows the model of the first training rows, with the draws of that step."""
    rows = torch.arange(_batch(run), device=run.job.device)
    step_draws = draws.Draws.at(run.job.seed, step, run.job.device)
    case: ModelCase[Any] = run.case
    inputs = case.inputs(of_step(run.data, step), rows, step_draws, run.settings)
    return {name: statistics_of(values) for name, values in inputs.items()}
