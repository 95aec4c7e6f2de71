"""What a run costs, found without training it: parameters, operations and memory, on tensors without content."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

from goldmark.case import Data
from goldmark.runs import Job
from goldmark.training import draws
from goldmark.training._prepare import of_step
from goldmark.training.recurrent import unroll

_COPIES = 7  # of the weights: the stack, its gradients twice, two moments, and the model fresh and trained
_UNSEEN_GPU_BYTES = 40 * 10**9
_SHARE = 0.7  # of the free memory that a stack may take


@dataclass(frozen=True)
class Cost:
    """The cost of one run of a stack."""

    n_parameters: int
    n_steps: int
    flops_per_step: int  # of matrix products and convolutions, forward and backward
    n_bytes: int  # of weights, moments, data and what the backward pass keeps


def counted_cost(job: Job) -> Cost:
    """Return the cost of a run, from one step without content (torch's meta device): seconds for a large model."""
    settings, (model, data) = job.case.settings_of(job.variant), _model_and_batch(job)
    n_weights = _n_weights(model)
    flops, kept = _step_cost(job, settings, model, {name: tensor.to("meta") for name, tensor in data.items()})
    examples = sum(t[0].nbytes for name, t in data.items() if name.startswith("train_")) * settings.n_train
    examples += sum(t[0].nbytes for name, t in data.items() if name.startswith("val_")) * settings.n_val
    n_bytes = int(4 * _COPIES * n_weights + 2 * examples + kept)
    return Cost(n_weights, settings.steps, flops, n_bytes)


def n_parameters(job: Job) -> int:
    """Return the number of parameters of a run's model."""
    return _n_weights(_model_and_batch(job)[0])


def _n_weights(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def _model_and_batch(job: Job) -> tuple[nn.Module, Data]:
    """Return a run's model at the start, and data that are enough for a step."""
    settings = job.case.settings_of(job.variant)
    data = job.case.make_data(_one_batch(settings), job.seed)
    data = {name: t.float() if t.is_floating_point() else t for name, t in data.items()}
    with torch.device("meta"):  # of the weights nothing but their shapes is asked
        return job.case.make_model(settings, data), data


def _one_batch(settings: Any) -> Any:
    """Return settings with no more examples than one batch takes: a step costs the same."""
    return replace(settings, n_train=min(settings.batch, settings.n_train), n_val=min(2, settings.n_val))


def _step_cost(job: Job, settings: Any, model: nn.Module, data: Data) -> tuple[int, int]:
    """Return the operations of one step and the bytes that its backward pass keeps."""
    from torch.utils.flop_counter import FlopCounterMode

    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        kept[storage._cdata] = storage.nbytes()  # noqa: SLF001 - tensors without content have no other identity
        return tensor

    unroll(model)
    model.to("meta")
    batch = min(settings.batch, settings.n_train)
    step_draws = draws.Draws(torch.zeros((), dtype=torch.int64, device="meta"))
    with FlopCounterMode(display=False) as counter, torch.autograd.graph.saved_tensors_hooks(keep, lambda t: t):
        rows = torch.zeros(batch, dtype=torch.int64, device="meta")
        loss = job.case.loss(model, of_step(data, 0), rows, step_draws, settings)
        torch.autograd.backward(loss)
    return int(counter.get_total_flops()), sum(kept.values())


@cache
def free_bytes(device: str) -> int:
    """Return the memory that is free on a device, as found when first asked.

    Where tasks go to the GPUs of other machines, and this one has none, it is what the smallest of them is taken to
    have; a stack that does not fit is halved there.
    """
    if device == "cuda":
        return int(torch.cuda.mem_get_info()[0]) if torch.cuda.is_available() else _UNSEEN_GPU_BYTES
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_AVPHYS_PAGES")


def largest_stack(cost: Cost, device: str, processes: int = 1) -> int:
    """Return how many runs of a cost fit into the free memory of a device, shared by some processes."""
    return max(1, int(_SHARE * free_bytes(device) / processes / cost.n_bytes))


def cpu_flops_per_s() -> float:
    """Return the float32 operations a second of one core in a matrix product, the best of five."""
    torch.set_num_threads(1)
    size = 512
    matrix = torch.ones(size, size)
    times = []
    for _ in range(5):
        started = time.perf_counter()
        matrix @ matrix
        times.append(time.perf_counter() - started)
    return 2 * size**3 / min(times)
