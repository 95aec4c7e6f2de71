"""Outputs that are each other's targets, which nothing else holds: read from the gradients of a running loop."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrize import is_parametrized

from goldmark.case import Finding
from goldmark.checks._collapsing import are_centred
from goldmark.checks._graph import leaves, nodes
from goldmark.checks._structures import tensors_of

_SLACK = 0.02  # of a gradient that is left unexplained, which is rounding
_ROWS = 32  # which stand for all
_MOST_NUMBERS = 2**24  # of an output, whose gradient is copied
_MOST_OUTPUTS = 8  # of the forward passes before a backward pass
_FEWEST = 5  # backward passes; rows and columns of outputs
_SPREAD_LEFT = 0.5  # of that between examples: views that are aligned, and no more, keep it


def check_mutual_targets(outputs: Sequence[Tensor], gradients: Sequence[Tensor]) -> Finding:
    """Find out whether outputs (N, L), two or more, are each other's targets, and nothing but that moves them.

    `gradients` are those of a loss on them. Across its own direction each row is drawn to the same row of others, as by
    cosines or squared distances, with one weight for all rows, and those others are drawn to it. What knows another
    target, compares examples, or keeps outputs apart has other gradients.
    """
    given = [one.detach()[:_ROWS].cpu().double() for one in outputs]
    wanted = [one.detach()[:_ROWS].cpu().double() for one in gradients]
    slack = max(_SLACK, *(8 * torch.finfo(one.dtype).eps for one in gradients))
    left, weights = min((_pulls(given, wanted, scaled=scaled) for scaled in (True, False)), key=lambda fit: fit[0])
    drawn = weights > _SLACK * weights.max()
    mutual = bool(drawn.any(dim=1).all()) and torch.equal(drawn, drawn.T)
    return Finding(
        name="mutual_targets",
        trouble=left <= slack and mutual and float(weights.min()) >= -_SLACK * float(weights.max()),
        numbers={"outputs": float(len(given)), "unexplained": left},
        threshold=slack,
        relation="of outputs that are drawn to each other one must be held by something else: else all examples may "
        "become one and the same vector",
        advice="detach the side that is the target (z.detach() in SimSiam, no_grad around BYOL's target network), or "
        "add what keeps examples apart: negatives, or a term for variance",
    )


def _pulls(outputs: Sequence[Tensor], gradients: Sequence[Tensor], *, scaled: bool) -> tuple[float, Tensor]:
    """Return the largest share of a gradient that no pull explains, and the weights (K, K) of what each is drawn to.

    Scaled, pulls are those of cosines; else those of squared distances, or of products.
    """
    weights, left = torch.zeros(len(outputs), len(outputs), dtype=torch.float64), 0.0
    for place, (own, gradient) in enumerate(zip(outputs, gradients, strict=True)):
        others = [other for other in range(len(outputs)) if other != place]
        ways = torch.stack([_across(-outputs[other], own, scaled=scaled).flatten() for other in others], dim=1)
        across = _across(gradient, own, scaled=False).flatten()
        if not bool(ways.isfinite().all() & across.isfinite().all()):
            return float("inf"), weights
        solved = torch.linalg.lstsq(ways, across[:, None]).solution[:, 0]
        rest = float((across - ways @ solved).norm() / across.norm())  # NaN where nothing is drawn
        left = rest if not rest <= left else left
        weights[place, others] = solved
    return left, weights


def _across(vectors: Tensor, own: Tensor, *, scaled: bool) -> Tensor:
    """Return the parts of vectors (N, L) that are orthogonal to others, over the lengths of both where `scaled`."""
    length = own.norm(dim=1, keepdim=True)
    along = own / length
    rest = vectors - (vectors * along).sum(dim=1, keepdim=True) * along
    return torch.div(rest, vectors.norm(dim=1, keepdim=True) * length) if scaled else rest


@dataclass(kw_only=True, eq=False)
class Pulls:
    """The outputs (N, L) or (N, T, L) of a model's forward passes, and the gradients that losses hand to them."""

    outputs: list[Tensor] = field(default_factory=list)  # since the last backward pass
    gradients: dict[int, Tensor] = field(default_factory=dict)  # by the place of an output
    handles: list[Any] = field(default_factory=list)
    elsewhere: bool = False  # a loss reaches weights by another way than those outputs
    n_passes: int = 0
    start: tuple[float, float] = (0.0, 0.0)  # spreads of outputs in the first of them
    finding: Finding | None = None
    settled: bool = False  # there is a finding, or they are held by something else

    def note(self, output: Any) -> None:
        """Take note of what a forward pass has given."""
        if self.settled:
            return
        all_floats = (one for one in tensors_of(output) if one.requires_grad and one.is_floating_point())
        fit = (one for one in all_floats if one.numel() <= _MOST_NUMBERS)
        given = [one for one in fit if one.dim() in (2, 3) and min(one.shape[:-1].numel(), one.shape[-1]) >= _FEWEST]
        self.outputs += [one for one in given if not self.elsewhere and all(one is not other for other in self.outputs)]
        if len(self.outputs) > _MOST_OUTPUTS:
            self.outputs, self.elsewhere = [], True

    def follow(self, loss: Tensor) -> None:
        """Prepare to take the gradients that a backward pass hands to outputs, where there are several of one shape."""
        if len({one.shape for one in self.outputs}) == len(self.outputs):
            return
        places = {(one.grad_fn, one.output_nr): place for place, one in enumerate(self.outputs)}
        ends = {node for node, _ in places}
        for node in nodes(loss.grad_fn, without=ends):
            edges = dict(enumerate(node.next_functions))
            if not edges or any(end[0] in ends and end not in places for end in edges.values()):
                self.elsewhere = True
                return
            wanted = {number: places[end] for number, end in edges.items() if end in places}
            if wanted:
                self.handles.append(node.register_hook(partial(_take, self.gradients, wanted)))

    def end_pass(self, mine: Mapping[int, Tensor]) -> None:
        """Judge a backward pass by what it has handed to outputs that weights of an optimizer, `mine`, give.

        All passes must be of that kind until examples have become alike; where they are, rounding is all that is left.
        """
        drawn = [self.outputs[place].flatten(0, -2) for place in sorted(self.gradients) if not self.elsewhere]
        gradients = [gradient.flatten(0, -2) for _, gradient in sorted(self.gradients.items())]
        self.forget()
        if self.settled or not all(bool(one.isfinite().all()) for one in gradients):
            return
        finding = check_mutual_targets(drawn, gradients) if _are_alike(drawn) else None
        if finding is None or not finding.trouble or (self.n_passes == 0 and not _are_free(drawn, mine)):
            self.settled = True
            return
        spreads = _spreads(drawn)
        self.start = spreads if self.n_passes == 0 else self.start
        self.n_passes += 1
        falls = any(now < _SPREAD_LEFT * before for now, before in zip(spreads, self.start, strict=True))
        if falls and self.n_passes >= _FEWEST:
            self.finding, self.settled = finding, True

    def forget(self) -> None:
        """Hold no graph any longer."""
        for handle in self.handles:
            handle.remove()
        self.outputs, self.gradients, self.handles, self.elsewhere = [], {}, [], False

    def findings(self, model: nn.Module) -> Iterator[Finding]:
        """Yield what was found, where no parametrization, as of orthogonal weights, may keep examples apart."""
        if self.finding is not None and not any(map(is_parametrized, model.modules())):
            yield self.finding


def _are_alike(outputs: Sequence[Tensor]) -> bool:
    """Tell whether there are several outputs, of one shape."""
    return len(outputs) > 1 and len({one.shape for one in outputs}) == 1


def _are_free(outputs: Sequence[Tensor], mine: Mapping[int, Tensor]) -> bool:
    """Tell whether outputs may all become one vector by weights of an optimizer."""
    return not are_centred(outputs) and all(mine.keys() & map(id, leaves(one)) for one in outputs)


def _take(gradients: dict[int, Tensor], wanted: Mapping[int, int], received: Sequence[Tensor | None], _: Any) -> None:
    """Add what a node hands on to the gradients of outputs."""
    for number, place in wanted.items():
        gradient = received[number]
        if gradient is not None:
            gradients[place] = gradients[place] + gradient if place in gradients else gradient.detach().clone()


def _spreads(outputs: Sequence[Tensor]) -> tuple[float, float]:
    """Return the variance of rows (N, L), and of their directions, over examples."""
    given = [one.detach()[:_ROWS].float() for one in outputs]
    directions = [functional.normalize(one, dim=1) for one in given]
    rows, turned = (sum(float(one.var(dim=0).sum()) for one in several) for several in (given, directions))
    return rows, turned
