"""A step of a stack without a GPU, held to what recording it on one asks for.

A CUDA graph repeats operations on the device alone. So a step must not ask for a value on the host, must not make a
tensor whose shape depends on values, must not copy between devices, and must not mix tensors of two; and
`torch.func.vmap` must have a rule for each operation, or it runs model by model.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields, is_dataclass, replace
from functools import cache
from typing import Any, Literal

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from goldmark.runs import Job
from goldmark.training import _stacked as stacked
from goldmark.training import draws
from goldmark.training._prepare import prepare
from goldmark.training._schedule import batches, train_size

Place = Literal[
    "cpu", "meta", "fake gpu"
]  # with numbers; without any; without any, but on a device that is not the CPU
_WAITING = {"_local_scalar_dense", "nonzero", "masked_select"}  # the host waits for a value, or for a shape
_INDEXED = {"index", "index_put", "index_put_", "_index_put_impl_"}
_COPYING = {"_to_copy", "copy_", "copy"}


class NotRecordableError(RuntimeError):
    """A step did what a CUDA graph cannot repeat."""


class DeviceOnly(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Refuse operations that wait for a value of the device, index by bools, or copy between devices."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run an operation, or raise `NotRecordableError`."""
        name, options = func.overloadpacket.__name__, kwargs or {}
        if name in _WAITING:
            raise NotRecordableError(f"{func} makes the host wait for a value; keep it a tensor, as with torch.where")
        if name in _INDEXED and any(index.dtype in (torch.bool, torch.uint8) for index in _tensors(args[1])):
            raise NotRecordableError(f"{func} indexes by bools, so that its shape depends on values; use torch.where")
        devices = {tensor.device.type for tensor in _tensors(args)}
        if options.get("device") is not None:
            devices.add(torch.device(options["device"]).type)
        if name in _COPYING and len(devices) > 1:
            raise NotRecordableError(f"{func} copies between {' and '.join(sorted(devices))}; make the tensor there")
        return func(*args, **options)


def _tensors(nested: Any) -> Iterator[Tensor]:
    if isinstance(nested, Tensor):
        yield nested
    elif isinstance(nested, list | tuple):
        for part in nested:
            yield from _tensors(part)


def dry_step(task: Sequence[Job], *places: Place) -> None:
    """Take the first step of some jobs that stack, at each of the places; nothing is kept of it.

    Raises `NotRecordableError`, or what torch raises where an operation has no rule for stacks or mixes devices. On a
    fake GPU the step ends with the losses, and that GPU stays with its process, which should do nothing else.
    """
    runs = [prepare(replace(job, device="cpu")) for job in task]
    schedules = [list(batches(run.settings, train_size(run.data), run.job.seed)) for run in runs]
    stack = stacked.lay_out(runs, schedules)
    for place in places:
        with _rules_for_all():
            _STEPS[place](stack)


def _on_cpu(stack: Any) -> None:
    _step(_converted(stack, torch.clone))


def _on_meta(stack: Any) -> None:
    _step(_converted(stack, lambda tensor: tensor.to("meta")))


def _step(stack: Any) -> None:
    with DeviceOnly():  # type: ignore[no-untyped-call]
        stacked.take_step(stack)


def _on_fake_gpu(stack: Any) -> None:
    """Compute the losses alone: a backward pass asks the device for streams."""
    from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode

    mode, device = FakeTensorMode(), _fake_device()
    there = _converted(stack, lambda tensor: FakeTensor(mode, tensor.to("meta"), device))
    draws._kept_counters.cache_clear()  # noqa: SLF001 - fake tensors of another pass do not mix with those of this one
    with mode, DeviceOnly(), torch.no_grad():  # type: ignore[no-untyped-call]
        stacked.losses_of(there)


_STEPS: Mapping[Place, Callable[[Any], None]] = {"cpu": _on_cpu, "meta": _on_meta, "fake gpu": _on_fake_gpu}


@cache
def _fake_device() -> torch.device:
    """Return the CUDA device, or where torch is built without one the place that it keeps for others' devices."""
    if torch.version.cuda is not None:
        return torch.device("cuda:0")
    from torch.utils.backend_registration import _setup_privateuseone_for_python_backend

    _setup_privateuseone_for_python_backend()
    return torch.device("privateuseone:0")


def _converted(part: Any, convert: Callable[[Tensor], Tensor]) -> Any:
    """Return a stack, or a part of it, with every tensor converted; a leaf that is trained stays one."""
    if isinstance(part, Tensor):
        return convert(part.detach()).requires_grad_(part.requires_grad)
    if isinstance(part, dict):
        return {name: _converted(value, convert) for name, value in part.items()}
    if isinstance(part, list | tuple):
        return [_converted(value, convert) for value in part]
    if is_dataclass(part):
        return replace(part, **{f.name: _converted(getattr(part, f.name), convert) for f in fields(part)})  # type: ignore[type-var]
    return part


@contextmanager
def _rules_for_all() -> Iterator[None]:
    """Have `vmap` raise for an operation without a rule, which it would do model by model."""
    functorch: Any = torch._C._functorch  # noqa: SLF001 - torch has no public way
    before = functorch._is_vmap_fallback_enabled()  # noqa: SLF001
    functorch._set_vmap_fallback_enabled(False)  # noqa: SLF001
    try:
        yield
    finally:
        functorch._set_vmap_fallback_enabled(before)  # noqa: SLF001
