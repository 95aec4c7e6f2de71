"""The state of a run, kept while it trains, so that a run which was killed goes on to the result it would have had.

All random numbers come from integer counters (`draws`), so that no generator has a state: what a run has become is its
parameters and buffers, the optimiser's moments, and what was written down of it. Order, draws and learning rates follow
from the number of steps taken.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any

import torch
from torch import Tensor

from goldmark.case import UsageError
from goldmark.fingerprint import fingerprint
from goldmark.runs import (
    Job,
    checkpoint_path,
    difference,
    finite,
    has_logs,
    log_folder,
    log_sizes,
    made_from,
    write_whole,
)
from goldmark.training._log import start_log, write_log
from goldmark.training._prepare import Prepared, evaluate, exact_arithmetic, prepare
from goldmark.training._schedule import batches, n_epochs, train_size
from goldmark.training.checkpoint_file import Checkpoint, encoded, load_checkpoint

_MODEL, _MOMENTS = "model.", "optimizer."  # what the names of tensors start with


def begin(job: Job) -> Prepared:
    """Return a run as it is before its next step: as its last checkpoint left it, or where there is none, fresh."""
    run = prepare(job)
    state, _ = kept_state(job)
    if state is not None:
        _restore(run, state)
    start_log(run, {} if state is None else state.metadata["logs"])
    return run


def kept_states(jobs: Iterable[Job]) -> tuple[int, Counter[str]]:
    """Return how many jobs go on from a checkpoint, and why others, which have one, start anew -> how many."""
    states = []
    for job in jobs:
        with exact_arithmetic(job.case):  # the fingerprint that it is held to tells threads
            states.append(kept_state(job))
    return sum(state is not None for state, _ in states), Counter(reason for _, reason in states if reason)


def kept_state(job: Job) -> tuple[Checkpoint | None, str | None]:
    """Return the last checkpoint of a job, or why it cannot be used; (None, None) where there is none."""
    if job.keep is None:
        return None, None
    path = checkpoint_path(job.keep.folder, job, "last")
    if not path.exists():
        return None, None
    try:
        state = load_checkpoint(path)
    except UsageError:
        return None, "damaged"
    reason = difference(state.metadata.get("made_from", {}), _made_from(job))
    if reason is None and not has_logs(log_folder(job.keep.folder, job), state.metadata["logs"]):
        reason = "logs that end before it"
    return (None, reason) if reason else (state, None)


def _made_from(job: Job) -> dict[str, Any]:
    """Return what a checkpoint follows from: unlike a finished run it goes on only where the same bits come of it."""
    run = [job.case.name, job.case.scale, job.variant, job.seed]
    made: dict[str, Any] = finite({"run": run, **made_from(job), "environment": fingerprint(job.device, job.dtype)})
    return made


def is_kept(run: Prepared, epoch: int) -> bool:
    """Return whether the state after an epoch, from 0, is kept: every so many of them, and the last one."""
    keep, last = run.job.keep, n_epochs(run.settings, train_size(run.data)) - 1
    return keep is not None and ((epoch + 1) % keep.every == 0 or epoch == last)


def keep_state(run: Prepared, moments: Mapping[str, Tensor]) -> None:
    """Write the last checkpoint of a run, `moments` being the optimiser's, and the best one where it is the best."""
    if run.job.keep is None:
        return
    improved = _note_best(run)
    write_log(run)
    model = {f"{_MODEL}{name}": tensor for name, tensor in _tensors_of(run).items()}
    optimizer = {f"{_MOMENTS}{name}": tensor for name, tensor in moments.items()}
    logs = log_sizes(log_folder(run.job.keep.folder, run.job))
    content = encoded(model | optimizer, {**_written_down(run), "logs": logs})
    if improved:  # before the last: one that knows of a best is never beside an older best
        write_whole(checkpoint_path(run.job.keep.folder, run.job, "best"), content)
    write_whole(checkpoint_path(run.job.keep.folder, run.job, "last"), content)


def _tensors_of(run: Prepared) -> dict[str, Tensor]:
    return dict(run.model.named_parameters()) | dict(run.model.named_buffers())


def _written_down(run: Prepared) -> dict[str, Any]:
    return {
        "made_from": _made_from(run.job),
        "n_steps": run.n_steps,
        "history": run.history,
        "learning_rates": [list(rates) for rates in run.learning_rates],
        "draws_from": [list(entry) for entry in run.draws_from],
        "stream": run.stream.hexdigest(),
        "best": run.best,
    }


def _note_best(run: Prepared) -> bool:
    """Compare a run with its best so far by the metric of its case; return whether it is better than that."""
    name, row = run.case.best_by, run.history[-1]
    if name is None:
        return False
    scores = row if name in row else evaluate(run)
    if name not in scores:
        raise UsageError(f"case '{run.case.name}': best_by is '{name}', and `evaluate` returns: {', '.join(scores)}")
    sign = 1 if run.case.metric(name).better == "higher" else -1
    value = scores[name]
    improved = value == value if run.best is None else sign * value > sign * run.best["value"]  # noqa: PLR0124 - NaN
    if improved:
        run.best = {"value": value, "epoch": row["epoch"]}
    return improved


def _restore(run: Prepared, state: Checkpoint) -> None:
    """Put a fresh run into the state of a checkpoint; raise `UsageError` where it would go on with another stream."""
    written = state.metadata
    with torch.no_grad():
        for name, tensor in _tensors_of(run).items():
            tensor.copy_(state.tensors[f"{_MODEL}{name}"])
    run.moments = {
        name.removeprefix(_MOMENTS): tensor.to(run.job.device)
        for name, tensor in state.tensors.items()
        if name.startswith(_MOMENTS)
    }
    run.history, run.best, run.n_steps = written["history"], written["best"], written["n_steps"]
    run.learning_rates = [tuple(rates) for rates in written["learning_rates"]]
    run.draws_from = [(step, sites) for step, sites in written["draws_from"]]
    _hash_steps_taken(run)
    if run.stream.hexdigest() != written["stream"]:
        raise UsageError(f"checkpoint of '{run.job.variant}', seed {run.job.seed}: its rows or draws are not the run's")


def _hash_steps_taken(run: Prepared) -> None:
    """Hash the rows and draws of the steps taken, anew from their counters: the state of a hash cannot be stored."""
    sites, changes = "", dict(run.draws_from)
    for batch in islice(batches(run.settings, train_size(run.data), run.job.seed), run.n_steps):
        sites = changes.get(batch.step, sites)
        run.stream.update(batch.rows.numpy().tobytes() + sites.encode())
