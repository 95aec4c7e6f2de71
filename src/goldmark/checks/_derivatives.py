"""Derivatives by inputs that are taken without a graph, so that what a loss makes of them trains nothing."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, autograd, nn

from goldmark.case import Finding
from goldmark.checks._graph import Node, kind, nodes, shape_of, source
from goldmark.checks._hearing import Hearing
from goldmark.checks._structures import tensors_of

_MOST = 16  # derivatives that are kept: an attack or a sampler takes one after another
_ADDING = frozenset(("Add", "Sub", "Neg", "Stack", "Sum", "Mean"))
_SCALING = frozenset(("Mul", "Div"))


@dataclass(kw_only=True, eq=False)
class DerivativeCalls:
    """What a watch has heard of derivatives without a graph, by tensors that are no parameters."""

    taken: list[tuple[list[Tensor], list[Tensor]]] = field(default_factory=list)  # outputs and inputs

    def note(self, outputs: Any, inputs: Any) -> None:
        """Keep the tensors of a call, where it has such inputs."""
        given = [one for one in tensors_of(inputs) if one.is_leaf and not isinstance(one, nn.Parameter)]
        if given and len(self.taken) < _MOST:
            self.taken.append(([*tensors_of(outputs)], given))

    def inputs_beside(self, weights: Collection[int]) -> list[Tensor]:
        """Return the inputs by which something was derived that depends on one of these weights, none of them a weight.

        Adapted copies of weights are derived by as well, and are all that a model's output depends on then.
        """
        own = [given for outputs, given in self.taken if any(_depends(one.grad_fn, weights) for one in outputs)]
        return [one for given in own for one in given if id(one) not in weights]


def _depends(node: Node | None, weights: Collection[int]) -> bool:
    return any(id(getattr(one, "variable", None)) in weights for one in nodes(node))


def check_derivative_without_graph(loss: Tensor, terms: Mapping[str, Any], inputs: Collection[Tensor]) -> Finding:
    """Find out whether a summand or a term of a loss reaches nothing but inputs by which a derivative was taken.

    `inputs` are those of `torch.autograd.grad` without `create_graph=True`: what it gives is a constant to the weights.
    Call it where none of them is trained. That an attack or a sampler moves along such a derivative shows in no term.
    """
    own = {id(one) for one in inputs}
    named = {name: term.grad_fn for name, term in terms.items() if isinstance(term, Tensor)}
    idle = [name for name, node in named.items() if _reaches_only(node, own)]
    n_idle = len(idle) or sum(_reaches_only(node, own) for node in _summands(loss))
    return Finding(
        name="derivative_without_graph",
        trouble=n_idle > 0,
        numbers={"terms_without_weights": float(n_idle), "inputs": float(len(own))},
        threshold=0.0,
        relation=f"every term of the loss must reach weights: {', '.join(idle) or 'one'} reaches only inputs",
        advice="pass create_graph=True to torch.autograd.grad where a loss is made of the derivative",
    )


def _reaches_only(node: Node | None, own: Collection[int]) -> bool:
    """Tell whether some of these leaves receive a gradient from a node, and no others."""
    variables = (getattr(one, "variable", None) for one in nodes(node))
    known = (id(variable) in own for variable in variables if variable is not None)
    return next(known, False) and all(known)


def _summands(loss: Tensor) -> Iterator[Node]:
    """Yield the numbers that a loss adds up, past constant factors."""
    waiting, known = [loss.grad_fn], set[Node]()
    while waiting:
        node = source(waiting.pop())
        if node is None or node in known:
            continue
        known.add(node)
        edges = [following for following, _ in node.next_functions if following is not None]
        adds = kind(node) in _ADDING or (kind(node) in _SCALING and len(edges) == 1)
        if adds and edges and all(kind(edge) == "Stack" or _is_number(edge) for edge in edges):
            waiting += edges
        else:
            yield node


def _is_number(node: Node) -> bool:
    shape = shape_of(node)
    return shape is not None and math.prod(shape) == 1


def _heard(run: Callable[..., Any]) -> Callable[..., Any]:
    """Return what runs torch's engine: beneath `grad`, which compiled functions know by its identity."""

    @functools.wraps(run)
    def derived(outputs: Any, *arguments: Any, **keywords: Any) -> Any:
        derivatives = run(outputs, *arguments, **keywords)  # weights of outputs, keep the graph, create one, inputs
        if keywords.get("accumulate_grad") is False and len(arguments) > 3 and not arguments[2]:
            for calls in DERIVATIVES.listeners:
                calls.note(outputs, arguments[3])
        return derivatives

    return derived


DERIVATIVES = Hearing[DerivativeCalls]((autograd, "_engine_run_backward", _heard))
