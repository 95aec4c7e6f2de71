"""What a model predicts, and from what, where a watch is told neither: heard as torch takes the error of an output."""

from __future__ import annotations

import functools
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.jit import _builtins as scripts

from goldmark.case import Finding
from goldmark.checks._graph import source
from goldmark.checks._hearing import Hearing
from goldmark.checks._independence import check_unrelated_noise
from goldmark.checks._outputs import check_unreachable_targets
from goldmark.checks._structures import UNFIT, drawn_keys, first_rows, first_tensor, tensors_of

Note = Callable[[Tensor, Tensor], None]  # takes the two sides of an error
_MOST_NUMBERS = 65_536  # of a batch that are kept
_LAST = 4  # passes that are kept
_FUNCTIONS = ("mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss")


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """Some rows of an output (N, ...), its targets, and all of their shape that a model was given or gave beside it."""

    output: Tensor
    targets: Tensor
    alike: tuple[Tensor, ...]


@dataclass(kw_only=True, eq=False)
class Predictions:
    """The predictions of the last passes in which one error was taken of the output, as the model gave it."""

    last: deque[Prediction] = field(default_factory=lambda: deque(maxlen=_LAST))
    keys: list[Tensor] = field(default_factory=list)  # of rows of all targets
    passed: tuple[Any, Any] | None = None  # inputs and output of the forward pass that came last
    compared: list[Prediction] = field(default_factory=list)  # since the last backward pass
    bounds: list[Finding] = field(default_factory=list)  # of all errors, whoever gave what they compare

    def note(self, inputs: Any, output: Any) -> None:
        """Take note of a forward pass."""
        self.passed = (inputs, output)

    def compare(self, one: Tensor, other: Tensor) -> None:
        """Take note of an error between the output of that pass and what has no gradient."""
        with suppress(*UNFIT):
            made, targets = (one, other) if one.requires_grad else (other, one)
            if not targets.requires_grad:
                self.bounds.append(check_unreachable_targets(made, targets))
            first = first_tensor(self.passed[1]) if self.passed is not None else None
            if first is None or targets.requires_grad or source(made.grad_fn) is not source(first.grad_fn):
                return
            beside = [tensor for tensor in tensors_of(self.passed) if tensor is not first]
            large = [one for one in beside if one.is_floating_point() and one.numel() >= max(targets.numel(), 1)]
            if large and all(tensor.shape == targets.shape for tensor in large):  # else the noise may be a part of one
                output, kept, *alike = (first_rows(one, most_numbers=_MOST_NUMBERS) for one in (made, targets, *large))
                self.compared.append(Prediction(output=output, targets=kept, alike=tuple(alike)))

    def end_pass(self) -> None:
        """Keep what was compared before a backward pass, where it is one prediction."""
        if len(self.compared) == 1:
            self.keys.append(drawn_keys(self.compared[0].targets))
            self.last.append(self.compared[0])
        self.forget()

    def forget(self) -> None:
        """Hold no graph any longer."""
        self.passed, self.compared = None, []

    def findings(self) -> Iterator[Finding]:
        """Judge targets that are drawn anew for each pass and have the shape of inputs."""
        if len({(one.output.shape[1:], len(one.alike)) for one in self.last}) != 1:
            return
        keys = torch.cat(self.keys)
        if len(keys.unique()) == len(keys):  # type: ignore[no-untyped-call]
            outputs, targets = (torch.cat([getattr(one, name) for one in self.last]) for name in ("output", "targets"))
            given = [torch.cat(one) for one in zip(*(one.alike for one in self.last), strict=True)]
            yield check_unrelated_noise(outputs, targets, given)


@functools.cache  # as scripts know functions by identity
def _heard(own: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(own)
    def compared(*arguments: Any, **keywords: Any) -> Any:
        if not torch.compiler.is_compiling() and torch.is_grad_enabled():
            sides = arguments[:2]
            if len(sides) == 2 and all(type(side) is Tensor for side in sides) and any(s.requires_grad for s in sides):
                for note in tuple(ERRORS.listeners):
                    note(*sides)
        return own(*arguments, **keywords)

    scripts._register_builtin(compared, f"aten::{own.__name__}")  # noqa: SLF001 - what is compiled meanwhile uses it
    return compared


ERRORS = Hearing[Note](*((torch._C._nn, name, _heard) for name in _FUNCTIONS))  # noqa: SLF001 - by any name they go there
