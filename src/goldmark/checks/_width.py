"""Layers too narrow for what passes: what no weights can reach, because outputs are affine in a few units.

Outputs affine in h units lie in h dimensions around their mean, so that of the variance of targets (N, D) they explain
at most the share of the h largest eigenvalues of its covariance (Eckart and Young, 1936). An activation after the
narrow layer breaks the proof: what lies before it is left alone.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from goldmark.case import Finding
from goldmark.checks._graph import Node, kind, shape_of, source
from goldmark.checks._rank import participation_ratio, r2_ceiling

_VIEWS = frozenset(("View", "UnsafeView", "Squeeze", "Unsqueeze", "Alias", "ReshapeAlias"))  # rows stay rows


def check_narrow_output(
    tokens: Tensor, width: int, narrowest: int, threshold: float = 0.9, layer: str = "the last layer"
) -> Finding:
    """Find out whether the layer before the output is too narrow for the targets (N, D): R^2 below `threshold`.

    Outputs affine in `width` units reach at most the share of variance of the first `width` principal components. A
    layer that is the narrowest of all is a code, and passes; give 0 as the narrowest where none is meant.
    """
    ceiling = r2_ceiling(in_own_span(tokens), width)
    return Finding(
        name="narrow_output",
        trouble=width < tokens.shape[-1] and not ceiling >= threshold and width > narrowest,
        numbers={"r2_ceiling": ceiling, "width": float(width), "target_dimensions": float(tokens.shape[-1])},
        threshold=threshold,
        relation=f"'{layer}' has {width} inputs, and {1 - ceiling:.0%} of the targets' variance is out of their reach",
        advice="widen the layer before the output: no training, and no other layer, lifts this ceiling",
    )


def check_activation_rank(
    activations: Tensor, tokens: Tensor, threshold: float = 0.9, layer: str = "the last layer"
) -> Finding:
    """Find out whether activations (N, H) vary in too few dimensions for outputs affine in them to reach the targets.

    Trouble is a numerical rank below H and N - 1, which leaves the targets (N, D) an R^2 below `threshold`. Of a
    trained model that is what its weights can do; where only affine maps lead from a narrower layer to these
    activations, it is what any weights can do.
    """
    rank, width = numerical_rank(activations), activations.shape[-1]
    spanned = in_own_span(tokens)
    ceiling = r2_ceiling(spanned, rank) if rank else 0.0
    return Finding(
        name="activation_rank",
        trouble=rank < min(width, len(activations) - 1, tokens.shape[-1]) and not ceiling >= threshold,
        numbers={
            "rank": float(rank),
            "width": float(width),
            "target_participation_ratio": participation_ratio(spanned),
            "r2_ceiling": ceiling,
        },
        threshold=threshold,
        relation=(
            f"'{layer}' has {width} inputs that vary in {rank} dimensions, "
            f"and {1 - ceiling:.0%} of the targets' variance is out of their reach"
        ),
        advice="put an activation between the layers: without it the wide one carries no more than the one before it",
    )


def in_own_span(tokens: Tensor) -> Tensor:
    """Return tokens (N, D) in at most N coordinates, turned into the space that they span: distances stay the same."""
    rows = tokens.detach().double()
    return torch.linalg.qr(rows.T, mode="r").R.T if rows.shape[0] < rows.shape[1] else tokens


def numerical_rank(activations: Tensor, tolerance: float = 1e-5) -> int:
    """Return how many singular values of centred activations (N, H) exceed `tolerance` times the largest.

    The tolerance is that of float32 products: what is linearly dependent differs by 1e-6 or so.
    """
    values = activations.detach().double()
    singular = torch.linalg.svdvals(values - values.mean(dim=0))
    return int((singular > tolerance * singular[0]).sum()) if bool(singular[0] > 0) else 0


def affine_tail(output: Tensor, layers: Mapping[int, nn.Linear]) -> list[nn.Linear]:
    """Return the linear layers in a row that an output is affine in, the last one first.

    `layers` are those of the model, by the identity of their weights; nothing but views may lie between them.
    """
    tail: list[nn.Linear] = []
    node = _unviewed(output.grad_fn)
    while node is not None and kind(node) in ("Addmm", "Mm"):
        *_, inputs, weights = (following for following, _ in node.next_functions)
        layer = layers.get(id(getattr(source(weights), "variable", None)))
        if layer is None or (shape_of(node) or (0,))[-1] != layer.out_features:
            break  # a weight that is used transposed is that of another layer
        tail.append(layer)
        node = _unviewed(inputs)
    return tail


def _unviewed(node: Node | None) -> Node | None:
    while node is not None and kind(node) in _VIEWS:
        node = node.next_functions[0][0]
    return node


def naive_r2(inputs: Tensor, targets: Tensor, val_inputs: Tensor, val_targets: Tensor, neighbours: int = 4) -> float:
    """Return the higher R^2 that two models without training reach on validation rows (N, F) and (N, D).

    Linear regression, where there are twice as many rows as features, and the mean of the nearest training rows.
    """
    x, y, val_x, val_y = (one.double() for one in (inputs, targets, val_inputs, val_targets))
    nearest = torch.cdist(val_x, x).topk(min(neighbours, len(x)), largest=False).indices
    made = [y[nearest].mean(dim=1)]
    if len(x) > 2 * x.shape[1]:
        design, val_design = (torch.cat([half, torch.ones(len(half), 1).to(half)], dim=1) for half in (x, val_x))
        made.append(val_design @ torch.linalg.lstsq(design, y, driver="gelsd").solution)
    total = (val_y - val_y.mean(dim=0)).square().sum()
    return max(float(1 - (one - val_y).square().sum() / total) for one in made)
