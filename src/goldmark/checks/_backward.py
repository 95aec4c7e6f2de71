"""Backward passes while a watch listens: what each started from, and whether its graph is kept."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from goldmark.checks._hearing import Hearing
from goldmark.checks._structures import tensors_of


@dataclass(kw_only=True, eq=False)
class BackwardCalls:
    """What one watch wants of backward passes, and what it has heard of them since it last looked."""

    keeps_graph: bool = False
    roots: list[Tensor] = field(default_factory=list)  # detached
    nodes: list[Any] = field(default_factory=list)  # of the graph, from which passes started
    whole: list[Any] = field(default_factory=list)  # those of them whose passes were for no chosen tensors alone

    def value(self) -> float | None:
        """Return the sum of the numbers that backward passes started from, and forget them; None: there was none."""
        roots, self.roots = self.roots, []
        self.forget_nodes()
        return float(torch.stack([root.sum().float() for root in roots]).sum()) if roots else None

    def forget_nodes(self) -> None:
        """Hold no graph any longer."""
        self.nodes, self.whole = [], []


def _heard(backward: Callable[..., None]) -> Callable[..., None]:
    def propagated(
        tensors: Any, grad_tensors: Any = None, retain_graph: Any = None, create_graph: Any = None, **rest: Any
    ) -> None:
        keep = True if any(calls.keeps_graph for calls in BACKWARDS.listeners) else retain_graph
        for calls in BACKWARDS.listeners:
            calls.roots += [tensor.detach() for tensor in tensors_of(tensors)]
            calls.nodes += [tensor.grad_fn for tensor in tensors_of(tensors)]
            calls.whole += [tensor.grad_fn for tensor in tensors_of(tensors) if rest.get("inputs") is None]
        backward(tensors, grad_tensors, keep, bool(create_graph), **rest)

    return propagated


BACKWARDS = Hearing[BackwardCalls]((torch.autograd, "backward", _heard))
