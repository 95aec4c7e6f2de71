"""What modules are given back: weights of an earlier time or of another, or their own of now, kept by reference."""

from __future__ import annotations

import functools
import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from goldmark.case import Finding
from goldmark.checks._hearing import Hearing

_FINE = 1e-5  # rounding of a type in which an average tells

Note = Callable[[nn.Module, Mapping[str, Any]], None]


def check_state_by_reference(model: nn.Module, state: Mapping[str, Tensor]) -> Finding:
    """Find out whether the trained parameters in a state dict, which a model is given, are the model's own memory.

    Of a model that does not train, as a target network, all parameters count. A state dict that brings something else,
    as another value of a buffer, has its use.
    """
    named = dict(model.named_parameters())
    trained = {name: parameter for name, parameter in named.items() if parameter.requires_grad} or named
    own = [name for name, parameter in trained.items() if name in state and _is_same_memory(state[name], parameter)]
    rest = {name: tensor for name, tensor in (*named.items(), *model.named_buffers()) if name not in trained}
    new = [
        name for name, one in rest.items() if name in state and one.numel() and not _is_same_memory(state[name], one)
    ]
    return Finding(
        name="state_by_reference",
        trouble=0 < len(trained) == len(own) and not new,
        numbers={"tensors": float(len(trained)), "own": float(len(own))},
        threshold=0.0,
        relation="a model must be given weights of an earlier time or of another: these are its own, as they are now",
        advice="keep copy.deepcopy(model.state_dict()), as state_dict() hands out the weights themselves, which train "
        "on; a target network must be a copy.deepcopy of the one that trains, whose state it is given",
    )


def _is_same_memory(one: Any, other: Tensor) -> bool:
    return isinstance(one, Tensor) and one.data_ptr() == other.data_ptr() != 0


def _is_average_of_itself(module: nn.Module, state: Mapping[str, Any]) -> bool:
    """Tell whether a state dict differs from a module's own parameters, by rounding alone."""
    own = dict(module.named_parameters())
    if any(not isinstance(state.get(name), Tensor) or state[name].shape != one.shape for name, one in own.items()):
        return False
    pairs = [(state[name].detach().to(one), one.detach()) for name, one in own.items()]
    rounding = [4 * torch.finfo(one.dtype).eps for one in own.values()]
    alike = all(
        slack < _FINE and torch.allclose(a, b, rtol=slack, atol=0)
        for slack, (a, b) in zip(rounding, pairs, strict=True)
    )
    return alike and not all(torch.equal(a, b) for a, b in pairs)


def _heard(load: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(load)
    def loaded(self: nn.Module, state_dict: Any, *arguments: Any, **keywords: Any) -> Any:
        for reference in tuple(RESTORING.listeners):
            note = reference()
            if note is not None:
                note(self, state_dict)
        return load(self, state_dict, *arguments, **keywords)

    return loaded


RESTORING = Hearing[weakref.WeakMethod[Note]]((nn.Module, "load_state_dict", _heard))


@dataclass(kw_only=True, eq=False)
class Restored:
    """The state dicts that modules were given, as far as a watch cares."""

    findings: list[Finding] = field(default_factory=list)
    own: weakref.WeakKeyDictionary[nn.Module, tuple[int, list[float]]] = field(
        default_factory=weakref.WeakKeyDictionary
    )  # modules beside the model that were given their own weights: steps before, sums of those
    averages: weakref.WeakKeyDictionary[nn.Module, int] = field(
        default_factory=weakref.WeakKeyDictionary
    )  # trained modules that were given an average of what they are: steps before

    def note(self, module: nn.Module, state: Mapping[str, Any], steps: int, *, trained: bool) -> None:
        """Judge a state dict; a module beside the trained ones changes nothing by it where nothing else has changed it.

        One whose weights were averaged where they lie may be given them all the same. A trained one that is given an
        average with itself again and again is its own target; the first average of weights is of equal ones.
        """
        finding = check_state_by_reference(module, state)
        if trained and not finding.trouble and _is_average_of_itself(module, state):
            finding = replace(finding, trouble=self.averages.setdefault(module, steps) < steps)
        if trained:
            self.findings.append(finding)
        elif finding.trouble:
            sums = [float(parameter.detach().double().sum()) for parameter in module.parameters()]
            before, self.own[module] = self.own.get(module), (steps, sums)
            if before is not None and before[0] < steps and before[1] == sums:
                self.findings.append(finding)
