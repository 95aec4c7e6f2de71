"""Train one model after another: the plain loop that says what a run is."""

from __future__ import annotations

import copy
import hashlib
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from goldmark.case import Case, Data, Run, Settings, settings_of
from goldmark.fingerprint import fingerprint
from goldmark.training import draws
from goldmark.training.schedule import (
    Batch,
    batches,
    evaluated_epochs,
    learning_rate_factor,
    train_size,
)
from goldmark.training.sources import sources_of


def train_single(case: Case, variant: str, seed: int, device: str = "cpu") -> Run:
    """Train one variant with one seed and return the run; one thread, so that sums have one order."""
    torch.set_num_threads(1)
    started = time.perf_counter()
    settings = settings_of(case, variant)
    data64 = case.make_data(settings, seed)
    data = {name: _for_training(tensor).to(device) for name, tensor in data64.items()}
    with draws.initial_weights(seed):
        model = case.make_model(settings, data).to(device)
    fresh = copy.deepcopy(model)
    fit = _fit(case, settings, model, data, seed)
    with torch.no_grad():
        findings = case.examine(fresh.eval(), model.eval(), data, settings)
        slow_metrics = case.evaluate_trained(model, data, settings)
    baselines = case.baselines(data64, settings)
    scores = {baseline.name: dict(baseline.metrics) for baseline in baselines}
    return Run(
        case=case.name,
        variant=variant,
        seed=seed,
        metrics=_declared(case, fit.history[-1] | case.finish(fit.history) | slow_metrics),
        history=tuple(fit.history),
        learning_rates=tuple(fit.learning_rates),
        baselines=baselines,
        findings=findings,
        exact=_exact(settings, model, data),
        close={"baselines": scores, **case.close(data64, settings)},
        stream=fit.stream.hexdigest(),
        fingerprint=fingerprint(device),
        sources=sources_of(case),
        data=case.data_source,
        seconds=time.perf_counter() - started,
    )


def _for_training(tensor: Tensor) -> Tensor:
    return tensor.float() if tensor.is_floating_point() else tensor


@dataclass
class _Fit:
    """What training leaves behind, beside the model: it grows as the steps are taken."""

    stream: hashlib._Hash
    history: list[dict[str, float]] = field(default_factory=list)
    learning_rates: list[tuple[float, ...]] = field(default_factory=list)


def _fit(case: Case, settings: Settings, model: nn.Module, data: Data, seed: int) -> _Fit:
    """Train in place."""
    optimizer = _optimizer(case, settings, model)
    evaluated = evaluated_epochs(settings, train_size(data))
    fit = _Fit(hashlib.sha256(repr([(name, tuple(p.shape)) for name, p in model.named_parameters()]).encode()))
    losses: list[Tensor] = []
    for batch in batches(settings, train_size(data), seed):
        step_draws = draws.Draws(seed, batch.step, next(model.parameters()).device)
        losses.append(_step(case, settings, model, optimizer, data, batch, step_draws))
        fit.stream.update(batch.rows.numpy().tobytes() + repr(sorted(step_draws.used)).encode())
        if batch.ends_epoch:
            row = {"epoch": batch.epoch + 1.0, "train_loss": float(torch.stack(losses).mean())}
            losses.clear()
            fit.history.append(row | (_evaluate(case, settings, model, data) if batch.epoch in evaluated else {}))
            fit.learning_rates.append(tuple(group["lr"] for group in optimizer.param_groups))
    return fit


def _optimizer(case: Case, settings: Settings, model: nn.Module) -> torch.optim.Optimizer:
    """Build AdamW with a group for every peak learning rate; without weight decay it is Adam."""
    rates: dict[float, list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        rate = case.learning_rate(settings, name) if case.learning_rate else settings.lr
        rates.setdefault(rate, []).append(parameter)
    groups = [{"params": parameters, "lr": rate, "peak": rate} for rate, parameters in rates.items()]
    return torch.optim.AdamW(groups, weight_decay=settings.weight_decay, fused=True)


def _step(
    case: Case,
    settings: Settings,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    data: Data,
    batch: Batch,
    step_draws: draws.Draws,
) -> Tensor:
    """Take one optimiser step and return the detached loss."""
    for group in optimizer.param_groups:
        group["lr"] = group["peak"] * learning_rate_factor(settings, batch.step)
    loss = case.loss(model, data, batch.rows.to(step_draws.device), step_draws, settings)
    optimizer.zero_grad()
    torch.autograd.backward(loss)
    if settings.clip is not None:
        nn.utils.clip_grad_norm_(model.parameters(), settings.clip)
    optimizer.step()
    return loss.detach()


def _evaluate(case: Case, settings: Settings, model: nn.Module, data: Data) -> dict[str, float]:
    model.eval()
    with torch.no_grad():
        metrics = case.evaluate(model, data, settings)
    model.train()
    return metrics


def _declared(case: Case, row: Mapping[str, float]) -> dict[str, float]:
    """Keep what the case declares as its metrics; a missing one is a KeyError here, not a hole later."""
    return {metric.name: row[metric.name] for metric in case.metrics}


def _exact(settings: Settings, model: nn.Module, data: Data) -> Mapping[str, Any]:
    """Return what must be equal, not close: the recipe, the shapes of the data and the number of parameters."""
    return {
        "recipe": asdict(settings),
        "shapes": {name: list(tensor.shape) for name, tensor in data.items()},
        "n_parameters": sum(p.numel() for p in model.parameters() if p.requires_grad),
    }
