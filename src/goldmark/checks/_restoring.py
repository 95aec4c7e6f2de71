"""What modules are given back: weights of an earlier time or of another, or their own of now, kept by reference."""

from __future__ import annotations

import functools
import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

from goldmark.case import Finding
from goldmark.checks._hearing import Hearing

Note = Callable[[nn.Module, Mapping[str, Any]], None]


def check_state_by_reference(model: nn.Module, state: Mapping[str, Tensor]) -> Finding:
    """Find out whether the trained parameters in a state dict, which a model is given, are the model's own memory.

    Of a model that does not train, as a target network, all parameters count.
    """
    named = dict(model.named_parameters())
    trained = {name: parameter for name, parameter in named.items() if parameter.requires_grad} or named
    own = [name for name, parameter in trained.items() if name in state and _is_same_memory(state[name], parameter)]
    return Finding(
        name="state_by_reference",
        trouble=0 < len(trained) == len(own),
        numbers={"tensors": float(len(trained)), "own": float(len(own))},
        threshold=0.0,
        relation="a model must be given weights of an earlier time or of another: these are its own, as they are now",
        advice="keep copy.deepcopy(model.state_dict()), as state_dict() hands out the weights themselves, which train "
        "on; for a target network load the state of the one that trains",
    )


def _is_same_memory(one: Any, other: Tensor) -> bool:
    return isinstance(one, Tensor) and one.data_ptr() == other.data_ptr() != 0


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

    def note(self, module: nn.Module, state: Mapping[str, Any], steps: int, *, watched: bool) -> None:
        """Judge a state dict; a module beside the model changes nothing by it where nothing else has changed it.

        One whose weights were averaged where they lie may be given them all the same.
        """
        finding = check_state_by_reference(module, state)
        if watched:
            self.findings.append(finding)
        elif finding.trouble:
            sums = [float(parameter.detach().double().sum()) for parameter in module.parameters()]
            before, self.own[module] = self.own.get(module), (steps, sums)
            if before is not None and before[0] < steps and before[1] == sums:
                self.findings.append(finding)
