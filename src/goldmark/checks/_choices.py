"""Classes that are read off outputs: `argmax` and `max`, which have no choice among one output."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.jit import _builtins as scripts

from goldmark.case import Finding
from goldmark.checks._hearing import Hearing

Note = Callable[[str, Tensor, int], None]  # takes the name of the function, what it is given, and the dimension


@dataclass(kw_only=True)
class Choices:
    """How often a class was chosen among the outputs of a model, each batch of several examples."""

    argmax_of_one: int = 0
    max_of_one: int = 0  # of which somebody may want the values
    several: int = 0

    def note(self, name: str, n_outputs: int) -> None:
        """Note a call of `argmax` or `max`, among so many outputs."""
        self.several += n_outputs > 1
        self.argmax_of_one += n_outputs == 1 and name == "argmax"
        self.max_of_one += n_outputs == 1 and name == "max"

    def single(self, *, binary: bool) -> int:
        """Return how often there was one output; of a binary classifier nobody wants the largest value."""
        return self.argmax_of_one + (self.max_of_one if binary else 0)


def check_choice_of_one(n_single: int, n_several: int) -> Finding:
    """Find out whether classes are chosen by `argmax` among one output for each example: always class 0.

    `n_single` and `n_several` count calls along a dimension of size 1, and of more; candidates may vary in number.
    """
    return Finding(
        name="choice_of_one",
        trouble=n_single > 0 and n_several == 0,
        numbers={"among_one": float(n_single), "among_several": float(n_several)},
        threshold=0.0,
        relation="a class must be chosen among several outputs",
        advice="one output is the logit of class 1: compare it with 0, or its sigmoid with 0.5",
    )


@functools.cache  # as scripts know functions by identity
def _heard(own: Callable[..., Any]) -> Callable[..., Any]:
    name = own.__name__

    @functools.wraps(own)
    def chosen(*arguments: Any, **keywords: Any) -> Any:
        if not torch.compiler.is_compiling():
            given = arguments[0] if arguments else keywords.get("input")
            dim = arguments[1] if len(arguments) > 1 else keywords.get("dim", keywords.get("axis"))
            if type(given) is Tensor and type(dim) is int:
                for note in tuple(CHOICES.listeners):
                    note(name, given, dim)
        return own(*arguments, **keywords)

    scripts._register_builtin(chosen, f"aten::{name}")  # noqa: SLF001 - functions that are compiled meanwhile use it
    return chosen


CHOICES = Hearing[Note](  # the functions first: scripts make their list of those of torch before any is replaced
    *((owner, name, _heard) for owner in (torch, Tensor) for name in ("argmax", "max"))
)
