"""Outputs and targets that belong together, in whatever structure a model and its batches have."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from torch import Tensor


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
        return {**output, place: tensor}
    if hasattr(output, "_replace"):
        return output._replace(**{output._fields[place] if isinstance(place, int) else place: tensor})
    return type(output)(tensor if k == place else one for k, one in enumerate(output))
