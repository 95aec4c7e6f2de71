"""What is before and after the steps of a run, the same however they are taken: data, model, evaluation, the result."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from goldmark.case import Baseline, Data, ModelCase, Recipe, Run, recipe_of
from goldmark.fingerprint import fingerprint
from goldmark.runs import Engine, Job, ingredients_of, is_of_catalogue, sources_of
from goldmark.training import draws
from goldmark.training._schedule import Batch, evaluated_epochs, train_size

if TYPE_CHECKING:
    from goldmark.training._log import Log


@dataclass
class Prepared:
    """A run that is ready to be trained, and what training leaves behind: it grows as the steps are taken."""

    job: Job
    settings: Recipe
    data: Data  # floats in the dtype of training, on the device
    model: nn.Module  # trained in place
    fresh: nn.Module  # as it was at the start
    baselines: tuple[Baseline, ...]
    close: Mapping[str, Any]
    stream: hashlib._Hash
    history: list[dict[str, float]] = field(default_factory=list)
    learning_rates: list[tuple[float, ...]] = field(default_factory=list)
    n_steps: int = 0  # taken so far
    draws_from: list[tuple[int, str]] = field(default_factory=list)  # step -> sites drawn from in it and after it
    moments: Mapping[str, Tensor] = field(default_factory=dict)  # of the optimiser, where a checkpoint left any
    best: Mapping[str, float] | None = None  # value and epoch of the best checkpoint so far
    log: Log | None = None  # of a run that is kept

    @property
    def case(self) -> ModelCase[Any]:
        """The case of the run."""
        return self.job.case


@contextmanager
def exact_arithmetic(case: ModelCase[Any]) -> Iterator[None]:
    """Compute in the threads of a case, so that sums have one order, and convolve with all bits of float32.

    Both are put back afterwards.
    """
    threads, tf32 = torch.get_num_threads(), torch.backends.cudnn.allow_tf32
    torch.set_num_threads(case.threads)
    torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        torch.backends.cudnn.allow_tf32 = tf32


def prepare(job: Job) -> Prepared:
    """Make a run's data on its device and its initial weights on the CPU, from its seed."""
    case, settings, dtype = job.case, job.case.settings_of(job.variant), getattr(torch, job.dtype)
    with torch.device(job.device):
        data64 = case.make_data(settings, job.seed)
    data64 = {name: tensor.to(job.device) for name, tensor in data64.items()}
    data = {name: tensor.to(dtype) if tensor.is_floating_point() else tensor for name, tensor in data64.items()}
    with draws.initial_weights(job.seed):
        model = _cast(case.make_model(settings, data), dtype).to(job.device)
    baselines = case.baselines(data64, settings)
    scores = {baseline.name: dict(baseline.metrics) for baseline in baselines}
    shapes = [(name, tuple(parameter.shape)) for name, parameter in model.named_parameters()]
    return Prepared(
        job=job,
        settings=settings,
        data=data,
        model=model,
        fresh=copied(model),
        baselines=baselines,
        close={"baselines": scores, **case.close(data64, settings)},
        stream=hashlib.sha256(repr(shapes).encode()),
    )


def copied(model: nn.Module) -> nn.Module:
    """Return a copy of a model whose recurrent layers have their weights in one piece, as cuDNN wants them on a GPU."""
    same = copy.deepcopy(model)
    for module in same.modules():
        if isinstance(module, nn.RNNBase):
            module.flatten_parameters()
    return same


def _cast(model: nn.Module, dtype: torch.dtype) -> nn.Module:
    """Return a model with weights of a dtype; buffers that a module keeps in float64 on purpose stay."""
    return model if dtype == torch.float32 else model.to(dtype)


def of_step(data: Data, step: int) -> Data:
    """Return data with, in the place of each `step_` tensor (S, ...), what it holds for a step."""
    return {name: tensor[step] if name.startswith("step_") else tensor for name, tensor in data.items()}


def end_epoch(run: Prepared, epoch: int, train_loss: float, learning_rates: tuple[float, ...]) -> None:
    """Add the row of an epoch, from 0, to a run's history, with all metrics where it is one of the evaluated epochs."""
    row = {"epoch": epoch + 1.0, "train_loss": train_loss}
    if epoch in evaluated_epochs(run.settings, train_size(run.data)):
        row |= evaluate(run)
    run.history.append(row)
    run.learning_rates.append(learning_rates)


def evaluate(run: Prepared) -> dict[str, float]:
    """Return the metrics of a run's model as it is now, and leave it in training."""
    run.model.eval()
    with torch.no_grad():
        metrics = run.case.evaluate(run.model, run.data, run.settings)
    run.model.train()
    return metrics


def update_stream(run: Prepared, batch: Batch, used: set[tuple[str, tuple[int, ...]]]) -> None:
    """Count a step as taken: its rows and draws, integers and never a float, are hashed as the run's stream."""
    sites = repr(sorted(used))
    if not run.draws_from or run.draws_from[-1][1] != sites:
        run.draws_from.append((batch.step, sites))
    run.stream.update(batch.rows.numpy().tobytes() + sites.encode())
    run.n_steps = batch.step + 1


def as_run(trained: Prepared, engine: Engine, seconds: float, generated: Data | None = None) -> Run:
    """Return the run of a trained model: examined, scored where that is slow, and told whole.

    What it generates is made here, unless a stack has made it.
    """
    case, data, settings = trained.case, trained.data, trained.settings
    with torch.no_grad():
        findings = case.examine(trained.fresh.eval(), trained.model.eval(), data, settings)
        generated = case.generate(trained.model, data, settings) if generated is None else generated
        slow_metrics = case.evaluate_trained(trained.model, {**data, **generated}, settings)
        evaluations = case.evaluations(trained.model, data, settings) if trained.job.evaluate else {}
    job = trained.job
    return Run(
        case=case.name,
        scale=case.scale,
        variant=job.variant,
        seed=job.seed,
        metrics=_declared(case, trained.history[-1] | case.finish(trained.history) | slow_metrics),
        history=tuple(trained.history),
        learning_rates=tuple(trained.learning_rates),
        baselines=trained.baselines,
        findings=findings,
        exact=_exact(trained),
        close=trained.close,
        stream=trained.stream.hexdigest(),
        fingerprint=fingerprint(job.device, job.dtype) | {"engine": engine},
        sources=sources_of(case, engine),
        data=case.data_source,
        seconds=seconds,
        evaluations=evaluations,
        ingredients=ingredients_of(case, engine) | start_of(trained),
    )


def start_of(run: Prepared) -> dict[str, dict[str, str]]:
    """Return the hash of a run's data and initial weights, by which a user's files, however read, are known again.

    A case of the catalogue makes them from nothing but its settings and seed.
    """
    if is_of_catalogue(run.case):
        return {}
    tensors = {**run.data, **run.fresh.state_dict()}
    content = hashlib.sha256()
    for name in sorted(tensors):
        array = tensors[name].detach().cpu().contiguous()
        content.update(f"{name} {array.dtype} {tuple(array.shape)}".encode())
        content.update(array.view(-1).view(torch.uint8).numpy().tobytes())
    return {"start": {"data and weights": content.hexdigest()}}


def _declared(case: ModelCase[Any], row: Mapping[str, float]) -> dict[str, float]:
    """Keep what the case declares as its metrics; a missing one is a KeyError here, not a hole later."""
    return {metric.name: row[metric.name] for metric in case.metrics}


def _exact(trained: Prepared) -> Mapping[str, Any]:
    """Return what must be equal, not close: the recipe, the shapes of the data and the number of parameters."""
    return {
        "recipe": recipe_of(trained.settings),
        "shapes": {name: list(tensor.shape) for name, tensor in trained.data.items()},
        "n_parameters": sum(p.numel() for p in trained.model.parameters() if p.requires_grad),
    }
