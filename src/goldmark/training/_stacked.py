"""Train a group of runs of equal shapes as one: their weights, data and draws stacked on a replica axis R."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from goldmark.case import Data, ModelCase, Run
from goldmark.runs import Job
from goldmark.training import draws
from goldmark.training._adamw import Segment, bias_corrections, clipped, flat, moments, segment, update
from goldmark.training._checkpoint import begin, is_kept, keep_state
from goldmark.training._graph import replayed
from goldmark.training._log import log_epoch, needs_model, note_gradients
from goldmark.training._prepare import Prepared, as_run, copied, end_epoch, exact_arithmetic, of_step, update_stream
from goldmark.training._schedule import (
    Batch,
    batches,
    evaluated_epochs,
    rates_at,
    steps_per_epoch,
    train_size,
)
from goldmark.training.recurrent import unroll

Tensors = Mapping[str, Tensor]


def train_stacked(jobs: Sequence[Job]) -> list[Run]:
    """Train the runs of one group (see `plan.group_jobs`) together and return them in order.

    A run does not depend on its neighbours, but for the rounding of a matrix product with one matrix instead of many:
    a group of one is padded with a second copy of itself. Runs that checkpoints left at different steps go on apart.
    """
    started = time.perf_counter()
    with exact_arithmetic(jobs[0].case):
        runs = [begin(job) for job in jobs]
        for n_steps in sorted({run.n_steps for run in runs}):
            _fit_together([run for run in runs if run.n_steps == n_steps])
        made = generated(runs)
        shared_s = (time.perf_counter() - started) / len(jobs)
        return [_finished(run, shared_s, of_run) for run, of_run in zip(runs, made, strict=True)]


def _fit_together(runs: Sequence[Prepared]) -> None:
    """Train runs that have taken as many steps as each other; the copy that pads a single one keeps nothing."""
    if runs[0].n_steps == runs[0].settings.steps:
        return
    alone = runs[0]
    copies = [] if len(runs) > 1 else [replace(begin(alone.job), job=replace(alone.job, keep=None), log=None)]
    _fit([*runs, *copies])


def _finished(run: Prepared, shared_s: float, generated: Data) -> Run:
    """Return the run of a trained model; its time is its share of the stack's and what is done for it alone."""
    began = time.perf_counter()
    finished = as_run(run, "stacked", shared_s, generated)
    return replace(finished, seconds=shared_s + time.perf_counter() - began)


class _Asked(nn.Module):
    """A method of the case as a module, so that `functional_call` can put a run's own tensors into its model."""

    def __init__(self, run: Prepared, method: Callable[..., Any]) -> None:
        super().__init__()
        self.method, self.settings, self.model = method, run.settings, copied(run.model)
        unroll(self.model)

    def forward(self, *given: Any) -> Any:
        return self.method(self.model, *given, self.settings)


def generated(runs: Sequence[Prepared]) -> list[Data]:
    """Return what each run's trained model generates, made by all of them at once; a single one beside its copy."""
    if type(runs[0].case).generate is ModelCase.generate:
        return [{} for _ in runs]
    together = runs if len(runs) > 1 else [*runs, *runs]
    tensors = _side_by_side([{f"model.{name}": t for name, t in _tensors_of(run).items()} for run in together])
    data, generation = _side_by_side([run.data for run in together]), _Asked(runs[0], runs[0].case.generate).eval()
    with torch.no_grad():
        made: Data = vmap(lambda own, of_run: functional_call(generation, own, (of_run,)))(tensors, data)
    return [{name: tensor[place] for name, tensor in made.items()} for place in range(len(runs))]


def _tensors_of(run: Prepared) -> dict[str, Tensor]:
    """Return the parameters and buffers of a run's model by name."""
    return dict(run.model.named_parameters()) | dict(run.model.named_buffers())


@dataclass(frozen=True)
class Stack:
    """What a step reads and writes, all on the device: no step waits for the host."""

    loss: _Asked
    segments: Sequence[Segment]  # parameters that the loss reaches
    idle: Tensors  # the others, which keep their values
    buffers: Tensors
    data: Tensors  # of every run (R, ...)
    per_step: Tensors  # (S, R, ...)
    keys: Tensor  # (S, R)
    rows: Tensor  # (S, R, B)
    corrections: Tensor  # (S, 2)
    limits: Tensor | None  # of the gradient norms (R,)
    step: Tensor  # the counter, (1,)
    losses: Tensor  # (S, R), filled step by step
    gradients: dict[str, Tensor] | None  # of the last step (R, ...), before clipping; None where no run is logged
    used: set[tuple[str, tuple[int, ...]]] = field(default_factory=set)

    @property
    def trained(self) -> dict[str, Tensor]:
        """The stacked parameters that are trained, by name."""
        return {name: view for part in self.segments for name, view in part.views.items()}

    @property
    def state(self) -> list[Tensor]:
        """What a step changes."""
        moments = [tensor for part in self.segments for tensor in (part.values, part.mean, part.square)]
        return [*moments, *self.buffers.values(), self.step, self.losses]


def _fit(runs: Sequence[Prepared]) -> None:
    """Take the steps that are left to all models of a group, in place."""
    schedules = [list(batches(run.settings, train_size(run.data), run.job.seed)) for run in runs]
    stack = lay_out(runs, schedules)
    advance = replayed(lambda: take_step(stack), stack.state)
    for together in islice(zip(*schedules, strict=True), runs[0].n_steps, None):
        advance()
        for run, batch in zip(runs, together, strict=True):
            update_stream(run, batch, stack.used)
        if together[0].ends_epoch:
            _end_epoch(runs, stack, together[0])


def lay_out(runs: Sequence[Prepared], schedules: Sequence[Sequence[Batch]]) -> Stack:
    """Return runs of equal shapes side by side on a replica axis, with the keys, rows and rates of all their steps."""
    first, device, dtype = runs[0], torch.device(runs[0].job.device), getattr(torch, runs[0].job.dtype)
    parameters = _side_by_side([{name: p.detach() for name, p in run.model.named_parameters()} for run in runs])
    data = _side_by_side([{name: t for name, t in run.data.items() if not name.startswith("val_")} for run in runs])
    reached, steps = _reached(first, schedules[0][0]), torch.arange(first.settings.steps)
    clips, taken = [run.settings.clip for run in runs], runs[0].n_steps
    seeds = torch.tensor([run.job.seed for run in runs])
    return Stack(
        loss=_Asked(first, first.case.loss).train(),
        segments=_segments(runs, {name: parameters[name] for name in parameters if name in reached}),
        idle={name: tensor for name, tensor in parameters.items() if name not in reached},
        buffers=_side_by_side([dict(run.model.named_buffers()) for run in runs]),
        data={name: tensor for name, tensor in data.items() if not name.startswith("step_")},
        per_step={name: t.transpose(0, 1).contiguous() for name, t in data.items() if name.startswith("step_")},
        keys=draws.step_key(seeds, steps[:, None]).to(device),
        rows=torch.stack([torch.stack([batch.rows for batch in schedule]) for schedule in schedules], dim=1).to(device),
        corrections=bias_corrections(len(steps)).to(device, dtype),
        limits=None if clips[0] is None else torch.tensor(clips, dtype=dtype, device=device),
        step=torch.full((1,), taken, dtype=torch.int64, device=device),
        losses=torch.zeros(len(steps), len(runs), dtype=dtype, device=device),
        gradients=None if all(run.log is None for run in runs) else {},
    )


def _side_by_side(many: Sequence[Tensors]) -> dict[str, Tensor]:
    """Return tensors (R, ...) for R dictionaries of tensors (...)."""
    return {name: torch.stack([one[name] for one in many]) for name in many[0]}


def _reached(run: Prepared, batch: Batch) -> set[str]:
    """Return the names of the parameters that the loss has a gradient for; AdamW leaves the others alone."""
    model, data = copied(run.model).train(), of_step(run.data, batch.step)
    step_draws = draws.Draws.at(run.job.seed, batch.step, run.job.device)
    loss = run.case.loss(model, data, batch.rows.to(run.job.device), step_draws, run.settings)
    names, parameters = zip(*model.named_parameters(), strict=True)
    grads = torch.autograd.grad(loss, parameters, allow_unused=True)
    return {name for name, grad in zip(names, grads, strict=True) if grad is not None}


def _segments(runs: Sequence[Prepared], parameters: Tensors) -> list[Segment]:
    """Lay parameters out by their peak learning rates, as the reference groups them."""
    by_rates: dict[tuple[float, ...], dict[str, Tensor]] = {}
    for name, tensor in parameters.items():
        rates = tuple(run.case.learning_rate(run.settings, name) for run in runs)
        by_rates.setdefault(rates, {})[name] = tensor
    steps = range(runs[0].settings.steps)
    factors = _exactly([[run.case.rate_factor(run.settings, step) for run in runs] for step in steps])
    decay = _exactly([run.settings.weight_decay for run in runs])
    segments = [segment(part, _exactly(rates) * factors, decay) for rates, part in by_rates.items()]
    for stacked in map(moments, segments):
        for place, run in enumerate(runs):
            for name in stacked.keys() & run.moments.keys():  # those that a checkpoint left
                stacked[name][place] = run.moments[name]
    return segments


def _exactly(numbers: Sequence[Any]) -> Tensor:
    return torch.tensor(numbers, dtype=torch.float64)


def take_step(stack: Stack) -> None:
    """Take one optimiser step with every run of the stack."""
    losses, trained = losses_of(stack), stack.trained
    grads = dict(zip(trained, torch.autograd.grad(losses.sum(), list(trained.values())), strict=True))
    if stack.gradients is not None:
        stack.gradients.update(grads)
    flats = [flat(grads[name] for name in part.views) for part in stack.segments]
    if stack.limits is not None:
        flats = clipped(flats, stack.limits)
    update(stack.segments, flats, stack.step, stack.corrections)
    stack.losses.index_copy_(0, stack.step, losses.detach()[None])
    stack.step.add_(1)


def losses_of(stack: Stack) -> Tensor:
    """Return the loss of every run (R,) on its batch of the step that the counter stands at."""
    at = {name: tensor.index_select(0, stack.step)[0] for name, tensor in stack.per_step.items()}
    rows, keys = (tensor.index_select(0, stack.step)[0] for tensor in (stack.rows, stack.keys))

    def loss(parameters: Tensors, buffers: Tensors, data: Tensors, rows: Tensor, key: Tensor) -> Tensor:
        tensors = {f"model.{name}": tensor for name, tensor in {**parameters, **buffers}.items()}
        result: Tensor = functional_call(stack.loss, tensors, (data, rows, draws.Draws(key, stack.used)))
        return result

    parameters = {**stack.idle, **stack.trained}
    losses: Tensor = vmap(loss)(parameters, stack.buffers, {**stack.data, **at}, rows, keys)
    return losses


def _end_epoch(runs: Sequence[Prepared], stack: Stack, batch: Batch) -> None:
    """Write an epoch into every run's history; only one that is evaluated, kept or looked at needs the models."""
    settings, n_train = runs[0].settings, train_size(runs[0].data)
    kept = is_kept(runs[0], batch.epoch)
    looked_at = any(needs_model(run, batch.epoch) for run in runs)
    if kept or looked_at or batch.epoch in evaluated_epochs(settings, n_train):
        _write_back(runs, stack)
    first = batch.epoch * steps_per_epoch(settings, n_train)
    # run by run: the order of a sum over rows depends on how many columns there are
    losses = stack.losses[first : batch.step + 1].T.contiguous().mean(dim=1).tolist()
    for run, loss in zip(runs, losses, strict=True):
        end_epoch(run, batch.epoch, loss, rates_at(run.case, run.settings, run.model, batch.step))
    for place, run in enumerate(runs):
        note_gradients(run, batch.epoch, {name: grad[place] for name, grad in (stack.gradients or {}).items()})
        log_epoch(run, batch.step, sharers=len(runs))
    if kept:
        stacked = {name: view for part in stack.segments for name, view in moments(part).items()}
        for place, run in enumerate(runs):
            keep_state(run, {name: view[place] for name, view in stacked.items()})


def _write_back(runs: Sequence[Prepared], stack: Stack) -> None:
    """Copy the stacked parameters and buffers into each run's own model."""
    stacked = {**stack.trained, **stack.buffers}
    with torch.no_grad():
        for place, run in enumerate(runs):
            own = _tensors_of(run)
            for name, tensor in stacked.items():
                own[name].copy_(tensor[place])
