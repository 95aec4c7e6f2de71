"""Units of tanh and sigmoid between two layers: how many are at their bounds, where no gradient passes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from goldmark.case import Finding

_LAYERS = ("linear", "conv1d", "conv2d", "conv3d")
_FLAT = 0.01  # of the steepest slope


@dataclass(frozen=True, kw_only=True)
class Bounded:
    """A hidden layer with a bounded activation."""

    function: str
    weight: Tensor
    saturated: float  # share of units and examples where the slope is below 1 % of the steepest


_SLOPES: dict[str, Callable[[Tensor], Tensor]] = {  # over the steepest, from what the function gave
    "tanh": lambda given: 1 - given.square(),
    "sigmoid": lambda given: 4 * given * (1 - given),
    "hardtanh": lambda given: (given.abs() < 1).float(),
}


@dataclass(kw_only=True)
class BoundedLayers:
    """The layers of a pass whose activation is bounded and goes straight into another layer: no gate, no output."""

    hidden: list[Bounded] = field(default_factory=list)
    _made: dict[int, tuple[Tensor, Tensor]] = field(default_factory=dict)  # outputs of layers, and their weights
    _waiting: dict[int, tuple[Tensor, Bounded]] = field(default_factory=dict)  # activations of them

    def note(self, name: str, arguments: Sequence[Any], output: Any) -> None:
        """Note what a function of torch was given, and gave."""
        if name in _LAYERS and len(arguments) > 1:
            self._made[id(output)] = output, arguments[1]
            if id(arguments[0]) in self._waiting:
                self.hidden.append(self._waiting.pop(id(arguments[0]))[1])
        elif name in _SLOPES and arguments and id(arguments[0]) in self._made and _is_plain(output):
            share = float((_SLOPES[name](output.detach().float()) < _FLAT).float().mean())
            bounded = Bounded(function=name, weight=self._made[id(arguments[0])][1], saturated=share)
            self._waiting[id(output)] = output, bounded

    def forget(self) -> None:
        """Hold no more than hidden layers."""
        self._made.clear()
        self._waiting.clear()


def _is_plain(output: Tensor) -> bool:
    """Tell whether an output has real numbers, all in one block."""
    return output.is_floating_point() and not output.is_nested and output.layout == torch.strided


def trained_layers(layers: Sequence[Bounded]) -> list[Bounded]:
    """Return the layers whose weights train, each once: not a reservoir, nor a recurrence."""
    own: dict[int, list[Bounded]] = {}
    for layer in layers:
        own.setdefault(id(layer.weight), []).append(layer)
    return [one[0] for one in own.values() if len(one) == 1 and one[0].weight.requires_grad]


def check_saturated_units(shares: Sequence[float], threshold: float = 0.5) -> Finding:
    """Find out whether most units of several hidden layers are at their bounds before training has begun.

    `shares` are those of units and examples for which the slope of tanh or sigmoid is below 1 % of its steepest. One
    such layer passes, as the last of a trained network may be.
    """
    saturated = [share for share in shares if share > threshold]
    return Finding(
        name="saturated_units",
        trouble=len(saturated) > 1,
        numbers={"largest_share": max(shares, default=0.0), "layers_saturated": float(len(saturated))},
        threshold=threshold,
        relation="units of a fresh network must pass a gradient on: these are at their bounds",
        advice="draw smaller initial weights (Xavier: a variance of 1 over the number of inputs), and scale the inputs",
    )
