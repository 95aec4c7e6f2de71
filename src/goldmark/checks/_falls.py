"""Submodules that fall back into eval mode while they train, as a validation in the middle of an epoch leaves them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

from goldmark.checks._modes import layers_that_care
from goldmark.checks._ownership import owned

_SEVERAL = 4  # steps in eval mode in a row: fewer alternate on purpose
_TWICE = 2  # falls, with a return to training mode between them: a part that is frozen for good falls once


@dataclass(kw_only=True, eq=False)
class Part:
    """A module that itself holds layers that act otherwise in training mode, and how it fell into eval mode."""

    path: Sequence[tuple[str, nn.Module]]  # the modules around it and itself, from the model on
    layers: Sequence[nn.Module]  # that care
    parameters: Sequence[Tensor]  # that an optimizer owns, those of these layers aside
    awake: bool = False  # in the last step
    asleep: bool = False  # since a fall that is listed
    falls: list[tuple[str, int, int]] = field(default_factory=list)  # what fell, the steps before it, steps slept since

    def note_step(self, steps: int) -> None:
        """Take note of the mode in which a step is taken, after so many others."""
        awake = any(layer.training for layer in self.layers)
        fell = self.awake and not awake and not self.path[-1][1].training and any(map(_trains, self.parameters))
        self.awake, self.asleep = awake, not awake and (fell or self.asleep)
        if fell:
            outermost = next(name for name, module in self.path if not module.training)
            self.falls.append((outermost, steps, 0))
        if self.asleep:
            name, place, slept = self.falls[-1]
            self.falls[-1] = (name, place, slept + 1)

    def fallen(self, epochs: Collection[int]) -> set[str]:
        """Return what fell again and again for several steps, other than where an epoch began, which may be meant."""
        amid = [name for name, place, slept in self.falls if slept >= _SEVERAL and place not in epochs]
        return set(amid) if len(amid) >= _TWICE else set()


@dataclass(kw_only=True, eq=False)
class Falls:
    """The modes in which the parts of a model are trained: those with which their own optimizer takes its steps."""

    parts: dict[Any, list[Part]] = field(default_factory=dict)  # by optimizer

    def begin(self, model: nn.Module, optimizers: Sequence[Any]) -> None:
        """List the parts once, so that a step asks no more than their modes."""
        modules = dict(model.named_modules())
        for optimizer in optimizers:
            mine = owned([optimizer])
            parts = [_part(name, modules, mine) for name in modules if layers_that_care(modules[name].children())]
            self.parts[optimizer] = [part for part in parts if part.parameters]

    def note_step(self, optimizer: Any, steps: int) -> None:
        """Take note of the modes in which an optimizer is about to take a step."""
        for part in self.parts.get(optimizer, ()):
            part.note_step(steps)

    def fallen(self, epochs: Collection[int]) -> set[str]:
        """Return the names of modules that fell again and again; `epochs` are the steps taken at the end of each."""
        return {name for parts in self.parts.values() for part in parts for name in part.fallen(epochs)}


def _part(name: str, modules: dict[str, nn.Module], mine: dict[int, Tensor]) -> Part:
    words = name.split(".") if name else []
    path = [(above, modules[above]) for above in (".".join(words[:n]) for n in range(len(words) + 1))]
    layers = layers_that_care(modules[name].children())
    own = {id(parameter) for layer in layers if not isinstance(layer, nn.RNNBase) for parameter in layer.parameters()}
    others = [p for p in modules[name].parameters() if id(p) in mine and id(p) not in own]
    return Part(path=path, layers=layers, parameters=others)


def _trains(parameter: Tensor) -> bool:
    gradient = parameter.grad if parameter.requires_grad else None
    return gradient is not None and bool((gradient.coalesce().values() if gradient.is_sparse else gradient).any())
