"""Backward passes while a watch listens: what each started from, and whether its graph is kept."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from goldmark.case import Finding
from goldmark.checks._bootstrapping import bootstrapped_values
from goldmark.checks._constants import findings_before_pass
from goldmark.checks._crossing import crossed_factors
from goldmark.checks._hearing import Hearing
from goldmark.checks._losses import check_targets_with_gradient
from goldmark.checks._mutual import Pulls
from goldmark.checks._outputs import check_shape_broadcast
from goldmark.checks._structures import UNFIT, tensors_of


@dataclass(kw_only=True, eq=False)
class BackwardCalls:
    """What one watch wants of backward passes, and what it has heard of them since it last looked."""

    keeps_graph: bool = False
    roots: list[Tensor] = field(default_factory=list)  # detached
    nodes: list[Any] = field(default_factory=list)  # of the graph, from which passes started
    whole: list[Any] = field(default_factory=list)  # those of them whose passes were for no chosen tensors alone
    findings: list[Finding] = field(default_factory=list)  # of what a graph holds until its pass
    pulls: Pulls = field(default_factory=Pulls)  # on the model's outputs

    def value(self) -> float | None:
        """Return the sum of the numbers that backward passes started from, and forget them; None: there was none."""
        roots, self.roots = self.roots, []
        self.forget_nodes()
        return float(torch.stack([root.sum().float() for root in roots]).sum()) if roots else None

    def forget_nodes(self) -> None:
        """Hold no graph any longer, nor what it has shown."""
        self.nodes, self.whole, self.findings = [], [], []

    def note(self, tensors: Any, *, whole: bool) -> None:
        """Note what a backward pass is about to start from."""
        for tensor in tensors_of(tensors):
            self.roots.append(tensor.detach())
            self.nodes.append(tensor.grad_fn)
            self.whole += [tensor.grad_fn] if whole else []
            with suppress(*UNFIT):  # where an earlier pass has freed what the graph held
                self.pulls.follow(tensor)
                self.findings += findings_before_pass(tensor)
                if crossed_factors(tensor):  # a loss that was not back-propagated yet, whatever the watch is told of it
                    self.findings.append(check_shape_broadcast(None, None, tensor))
                self.findings += [check_targets_with_gradient(*sides) for sides in bootstrapped_values(tensor)]


def _heard(backward: Callable[..., None]) -> Callable[..., None]:
    def propagated(
        tensors: Any, grad_tensors: Any = None, retain_graph: Any = None, create_graph: Any = None, **rest: Any
    ) -> None:
        keep = True if any(calls.keeps_graph for calls in BACKWARDS.listeners) else retain_graph
        for calls in BACKWARDS.listeners:
            calls.note(tensors, whole=rest.get("inputs") is None)
        backward(tensors, grad_tensors, keep, bool(create_graph), **rest)

    return propagated


BACKWARDS = Hearing[BackwardCalls]((torch.autograd, "backward", _heard))
