"""Train one model after another: the plain loop that says what a run is, and the reference for every faster one."""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import islice

import torch
from torch import Tensor, nn

from goldmark.case import Run
from goldmark.runs import Job
from goldmark.training import draws
from goldmark.training._checkpoint import begin, is_kept, keep_state
from goldmark.training._log import log_epoch, note_gradients
from goldmark.training._prepare import Prepared, as_run, end_epoch, exact_arithmetic, of_step, update_stream
from goldmark.training._schedule import Batch, batches, n_epochs, train_size

OnEpoch = Callable[[int, int, float], object]  # an epoch from 1, how many there are, the training loss


def train_single(job: Job) -> Run:
    """Train one variant with one seed, from its last checkpoint where it has one, and return the run."""
    return train_model(job)[0]


def train_model(job: Job, on_epoch: OnEpoch = lambda epoch, n, train_loss: None) -> tuple[Run, nn.Module]:
    """Train as `train_single` does, calling `on_epoch` after every epoch, and return the run and the model."""
    started = time.perf_counter()
    with exact_arithmetic(job.case):
        run = begin(job)
        _fit(run, on_epoch)
        return as_run(run, "single", time.perf_counter() - started), run.model


def _fit(run: Prepared, on_epoch: OnEpoch) -> None:
    """Take the steps that are left, in place."""
    optimizer, losses, n = optimizer_of(run), [], n_epochs(run.settings, train_size(run.data))
    for batch in islice(batches(run.settings, train_size(run.data), run.job.seed), run.n_steps, None):
        step_draws = draws.Draws.at(run.job.seed, batch.step, run.job.device)
        losses.append(take_step(run, optimizer, batch, step_draws))
        update_stream(run, batch, step_draws.used)
        if batch.ends_epoch:
            rates = tuple(group["lr"] for group in optimizer.param_groups)
            end_epoch(run, batch.epoch, float(torch.stack(losses).mean()), rates)
            on_epoch(batch.epoch + 1, n, run.history[-1]["train_loss"])
            losses.clear()
            log_epoch(run, batch.step)
            if is_kept(run, batch.epoch):
                keep_state(run, _moments(run, optimizer))


def optimizer_of(run: Prepared) -> torch.optim.Optimizer:
    """Build AdamW with a group for every peak learning rate and the moments of a checkpoint.

    Without weight decay it is Adam.
    """
    rates: dict[float, list[nn.Parameter]] = {}
    for name, parameter in run.model.named_parameters():
        rates.setdefault(run.case.learning_rate(run.settings, name), []).append(parameter)
    groups = [{"params": parameters, "lr": rate, "peak": rate} for rate, parameters in rates.items()]
    optimizer = torch.optim.AdamW(groups, weight_decay=run.settings.weight_decay, fused=True)
    for place, tensor in run.moments.items():
        name, _, moment = place.rpartition(".")
        optimizer.state[run.model.get_parameter(name)][moment] = tensor
    return optimizer


def _moments(run: Prepared, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Return what AdamW knows of each parameter, its count of steps included, as `parameter.moment`."""
    states = {name: optimizer.state.get(parameter, {}) for name, parameter in run.model.named_parameters()}
    return {f"{name}.{moment}": tensor for name, state in states.items() for moment, tensor in state.items()}


def take_step(run: Prepared, optimizer: torch.optim.Optimizer, batch: Batch, step_draws: draws.Draws) -> Tensor:
    """Take one optimiser step and return the detached loss."""
    for group in optimizer.param_groups:
        group["lr"] = group["peak"] * run.case.rate_factor(run.settings, batch.step)
    data, rows = of_step(run.data, batch.step), batch.rows.to(run.job.device)
    loss = run.case.loss(run.model, data, rows, step_draws, run.settings)
    optimizer.zero_grad()
    torch.autograd.backward(loss)
    if batch.ends_epoch:
        note_gradients(run, batch.epoch, {name: p.grad for name, p in run.model.named_parameters()})
    if run.settings.clip is not None:
        nn.utils.clip_grad_norm_(run.model.parameters(), run.settings.clip)
    optimizer.step()
    return loss.detach()
