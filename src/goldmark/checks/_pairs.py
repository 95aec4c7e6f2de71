"""Outputs and targets that belong together, in whatever structure a model and its batches have."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from goldmark.checks._structures import UNFIT, filled, map_tensors, tensors_of


def pairs(output: Any, targets: Any) -> Iterator[tuple[Any, Tensor, Tensor]]:
    """Yield (place, output, target) where outputs and targets belong together: alone, by name, or by position."""
    if isinstance(output, Tensor) and isinstance(targets, Tensor):
        yield None, output, targets
        return
    named, wanted = _by_name(output), _by_name(targets)
    if named and wanted:
        yield from ((name, named[name], wanted[name]) for name in named if name in wanted)
    elif isinstance(output, tuple | list) and isinstance(targets, tuple | list) and len(output) == len(targets):
        for place, (one, other) in enumerate(zip(output, targets, strict=True)):
            if isinstance(one, Tensor) and isinstance(other, Tensor):
                yield place, one, other
    elif isinstance(output, tuple | list) and isinstance(targets, Tensor):
        alike = [(k, one) for k, one in enumerate(output) if isinstance(one, Tensor) and one.shape == targets.shape]
        yield from ((place, one, targets) for place, one in alike[:1])


def _by_name(structure: Any) -> dict[str, Tensor]:
    if isinstance(structure, Mapping):
        return {name: item for name, item in structure.items() if isinstance(item, Tensor)}
    if isinstance(structure, tuple) and hasattr(structure, "_asdict"):
        return {name: item for name, item in structure._asdict().items() if isinstance(item, Tensor)}
    return {}


def replaced(output: Any, place: Any, tensor: Tensor) -> Any:
    """Return an output with another tensor at a place."""
    if place is None:
        return tensor
    if isinstance(output, Mapping):
        return filled(output, {place: tensor})
    if hasattr(output, "_replace"):
        return output._replace(**{output._fields[place] if isinstance(place, int) else place: tensor})
    return type(output)(tensor if k == place else one for k, one in enumerate(output))


def reads_targets(loss_fn: Callable[[Any, Any], Any], output: Any, targets: Any) -> bool:
    """Tell whether a loss changes, or raises, when the targets of a batch are dealt to other examples, or changed.

    Contrastive losses are given sample ids, critics and generative models whatever fills the place of a target.
    """
    output = map_tensors(Tensor.detach, output)
    before = _value(loss_fn, output, targets)
    return any(_value(loss_fn, output, map_tensors(change, targets)) != before for change in (_dealt, _swapped))


def indexes_outputs(loss_fn: Callable[[Any, Any], Any], output: Any, targets: Any, place: Any, n_outputs: int) -> bool:
    """Tell whether a loss refuses a label of `n_outputs` or more, as one does that looks outputs up by their label.

    One that takes it compares labels with each other, as contrastive and triplet losses do, or looks them up
    elsewhere: they are ids.
    """
    output, targets = _on_cpu(output), _on_cpu(targets)
    alone = None if isinstance(targets, Tensor) else place
    target = next(wanted for where, _, wanted in pairs(output, targets) if where == place)
    outside = target.clone().clamp_max(n_outputs - 1)
    outside.view(-1)[:1] = n_outputs
    inside = replaced(targets, alone, target.clamp(0, n_outputs - 1))
    if not _stays_on_cpu(loss_fn, output, inside):
        return True
    return _value(loss_fn, output, replaced(targets, alone, outside)) is None


def reads_outside(loss_fn: Callable[[Any, Any], Any], output: Any, targets: Any, place: Any, n_outputs: int) -> bool:
    """Tell whether a loss changes when labels that name no output get other numbers that name none.

    One that leaves them out may still hear of such examples in another term. An index of -1 reads the last output, and
    one of -2 the one before; a loss that refuses -2 and takes -1 has a use for it.
    """
    output, targets = _on_cpu(output), _on_cpu(targets)
    alone = None if isinstance(targets, Tensor) else place
    target = next(wanted for where, _, wanted in pairs(output, targets) if where == place)
    moved = torch.where(target < 0, target - 1, torch.where(target >= n_outputs, target + 1, target))
    if not _stays_on_cpu(loss_fn, output, targets):
        return True
    return _value(loss_fn, output, replaced(targets, alone, moved)) not in (None, _value(loss_fn, output, targets))


def compares_labels(loss_fn: Callable[[Any, Any], Any], output: Any, targets: Any) -> bool:
    """Tell whether a loss stays the same when every label gets another number: it asks only which are alike."""
    if not isinstance(targets, Tensor) or targets.is_floating_point() or targets.dtype == torch.bool:
        return False
    output, targets = _on_cpu(output), _on_cpu(targets)
    renumbered = targets.max() + targets.min() + 7 - targets
    if not _stays_on_cpu(loss_fn, output, targets):
        return False
    return _value(loss_fn, output, targets) == _value(loss_fn, output, renumbered)


def _on_cpu(structure: Any) -> Any:
    return map_tensors(lambda tensor: tensor.detach().cpu(), structure)


def _stays_on_cpu(loss_fn: Callable[[Any, Any], Any], output: Any, targets: Any) -> bool:
    """Tell whether a loss works on the CPU; on a GPU a label that is out of range would end the process's use of it."""
    try:
        return all(loss.device.type == "cpu" for loss in tensors_of(loss_fn(output, targets)))
    except UNFIT:
        return False


def _value(loss_fn: Callable[[Any, Any], Any], output: Any, targets: Any) -> list[float] | None:
    try:
        return [float(loss.detach().double().sum()) for loss in tensors_of(loss_fn(output, targets))]
    except UNFIT:
        return None


def _dealt(target: Tensor) -> Tensor:
    return target.roll(1, dims=0) if target.dim() and target.layout == torch.strided else target


def _swapped(target: Tensor) -> Tensor:
    """Return other targets of the same kind: classes of the smallest and the largest index, numbers moved by 1."""
    if target.dtype == torch.bool or target.numel() == 0:
        return ~target if target.dtype == torch.bool else target
    if target.is_complex() or target.layout != torch.strided:
        return 2 * target
    if target.is_floating_point():
        return target + 1 if bool((target.abs() > 1).any()) else 1 - target
    return torch.where(target == target.max(), target.min() if target.min() < target.max() else 1 - target, target)
