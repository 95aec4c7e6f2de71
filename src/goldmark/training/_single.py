"""Train one model after another: the plain loop that says what a run is, and the reference for every faster one."""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import islice
from typing import cast

import torch
from torch import Tensor, nn
from torch.optim.adamw import adamw

from goldmark.case import Run
from goldmark.runs import Job
from goldmark.training import draws
from goldmark.training._checkpoint import begin, is_kept, keep_state
from goldmark.training._log import log_epoch, note_gradients
from goldmark.training._prepare import Prepared, as_run, end_epoch, exact_arithmetic, of_step, update_stream
from goldmark.training._schedule import BETAS, EPS, Batch, batches, n_epochs, train_size

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
    optimizer, losses, n = AdamW(run), [], n_epochs(run.settings, train_size(run.data))
    for batch in islice(batches(run.settings, train_size(run.data), run.job.seed), run.n_steps, None):
        step_draws = draws.Draws.at(run.job.seed, batch.step, run.job.device)
        losses.append(take_step(run, optimizer, batch, step_draws))
        update_stream(run, batch, step_draws.used)
        if batch.ends_epoch:
            end_epoch(run, batch.epoch, float(torch.stack(losses).mean()), optimizer.rates)
            on_epoch(batch.epoch + 1, n, run.history[-1]["train_loss"])
            losses.clear()
            log_epoch(run, batch.step)
            if is_kept(run, batch.epoch):
                keep_state(run, optimizer.moments())


class AdamW:
    """AdamW of one model, by torch's own function; without weight decay it is Adam.

    `torch.optim.AdamW` computes the same with it, but imports `torch._dynamo`, which takes a process two seconds.
    """

    def __init__(self, run: Prepared) -> None:
        """Group parameters by their peak learning rates, and take over the moments of a checkpoint."""
        self._groups: dict[float, dict[str, nn.Parameter]] = {}
        for name, parameter in run.model.named_parameters():
            self._groups.setdefault(run.case.learning_rate(run.settings, name), {})[name] = parameter
        self._weight_decay = run.settings.weight_decay
        self._state: dict[str, dict[str, Tensor]] = {}  # of each parameter that has moved
        self.rates = tuple(self._groups)  # of each group, at its last step
        for place, tensor in run.moments.items():
            name, _, moment = place.rpartition(".")
            self._state.setdefault(name, {})[moment] = tensor

    def moments(self) -> dict[str, Tensor]:
        """Return what is known of each parameter, its count of steps included, as `parameter.moment`."""
        return {f"{name}.{moment}": tensor for name, state in self._state.items() for moment, tensor in state.items()}

    @torch.no_grad()
    def step(self, factor: float) -> None:
        """Move what has a gradient, at `factor` times the peak rates."""
        self.rates = tuple(peak * factor for peak in self._groups)
        for rate, parameters in zip(self.rates, self._groups.values(), strict=True):
            moved = {name: parameter for name, parameter in parameters.items() if parameter.grad is not None}
            self._state |= {name: _unmoved(parameter) for name, parameter in moved.items() if name not in self._state}
            states = [self._state[name] for name in moved]
            adamw(
                list(moved.values()),
                [cast("Tensor", parameter.grad) for parameter in moved.values()],
                exp_avgs=[state["exp_avg"] for state in states],
                exp_avg_sqs=[state["exp_avg_sq"] for state in states],
                max_exp_avg_sqs=[],
                state_steps=[state["step"] for state in states],
                fused=True,
                amsgrad=False,
                beta1=BETAS[0],
                beta2=BETAS[1],
                lr=rate,
                weight_decay=self._weight_decay,
                eps=EPS,
                maximize=False,
            )


def _unmoved(parameter: nn.Parameter) -> dict[str, Tensor]:
    """Return the state of a parameter before its first step, as torch's fused AdamW wants it."""
    zeros = torch.zeros_like(parameter)
    return {"step": torch.zeros((), device=parameter.device), "exp_avg": zeros, "exp_avg_sq": zeros.clone()}


def take_step(run: Prepared, optimizer: AdamW, batch: Batch, step_draws: draws.Draws) -> Tensor:
    """Take one optimiser step and return the detached loss."""
    data, rows = of_step(run.data, batch.step), batch.rows.to(run.job.device)
    loss = run.case.loss(run.model, data, rows, step_draws, run.settings)
    run.model.zero_grad()
    torch.autograd.backward(loss)
    if batch.ends_epoch:
        note_gradients(run, batch.epoch, {name: p.grad for name, p in run.model.named_parameters()})
    if run.settings.clip is not None:
        nn.utils.clip_grad_norm_(run.model.parameters(), run.settings.clip)
    optimizer.step(run.case.rate_factor(run.settings, batch.step))
    return loss.detach()
