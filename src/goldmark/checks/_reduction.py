"""What a loss was given and how it adds up over a batch: it is called again on outputs that a model has given."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import permutations
from typing import Any

import torch
from torch import Tensor

from goldmark.case import Finding
from goldmark.checks._graph import CROSS_ENTROPIES, Node, kind, nodes
from goldmark.checks._losses import LossFunction
from goldmark.checks._structures import map_tensors, tensors_of

_SHARE = 1e-3  # of the gradient, below which a part is rounding


def check_probability_targets(loss: Tensor) -> Finding:
    """Find out whether the targets of a binary cross-entropy leave [0, 1]: such a loss has no lower bound.

    `loss` has its graph still: no backward pass has freed what it holds.
    """
    crosses = [node for node in nodes(loss.grad_fn, past_layers=False) if kind(node) in CROSS_ENTROPIES]
    targets = [node._saved_target.detach() for node in crosses]  # noqa: SLF001
    lowest = min((float(target.min()) for target in targets if target.numel()), default=0.0)
    highest = max((float(target.max()) for target in targets if target.numel()), default=1.0)
    return Finding(
        name="probability_targets",
        trouble=lowest < 0 or highest > 1,
        numbers={"lowest": lowest, "highest": highest},
        threshold=1.0,
        relation="the targets of a binary cross-entropy are probabilities: none below 0 or above 1",
        advice="scale them (a mask read from a picture holds 0 and 255), or take a loss for numbers",
    )


def check_class_weights(weights: Sequence[float], counts: Sequence[int]) -> Finding:
    """Find out whether the weights of classes make each frequent class count more, example by example, than rarer ones.

    Classes are compared where one has twice the examples of the other; one of weight 0 is left out on purpose. Costs
    that a program puts on single classes pass where any rarer class counts as much.
    """
    known = [(count, weight) for count, weight in zip(counts, weights, strict=True) if count > 0 and weight > 0]
    ratios = [one[1] / other[1] for one, other in permutations(known, 2) if one[0] >= 2 * other[0]]
    return Finding(
        name="class_weights",
        trouble=min(ratios, default=0.0) >= 1.5,
        numbers={"lowest_frequent_to_rare": min(ratios, default=1.0), "pairs": float(len(ratios))},
        threshold=1.5,
        relation="a rare class must not be weighted below a frequent one",
        advice="weights go with 1 / frequency, in the order of the class indices; pos_weight is (1 - p) / p",
    )


def weights_in(loss: Tensor) -> Iterator[list[float]]:
    """Yield the class weights of each weighted cross-entropy in a loss that has its graph; (1, w) of a binary one."""
    for node in nodes(loss.grad_fn, past_layers=False):
        weight = _weight(node)
        if weight is not None:
            yield [1.0, float(weight)] if kind(node) in CROSS_ENTROPIES else weight.detach().flatten().tolist()


def _weight(node: Node) -> Tensor | None:
    if kind(node) in ("NllLoss", "NllLoss2D"):
        return node._saved_weight  # type: ignore[no-any-return]  # noqa: SLF001
    if kind(node) == "BinaryCrossEntropyWithLogits" and node._saved_pos_weight is not None:  # noqa: SLF001
        weight: Tensor = node._saved_pos_weight  # noqa: SLF001
        return weight if weight.numel() == 1 else None
    return None


def check_mixed_reduction(gradients: Sequence[Tensor]) -> Finding:
    """Find out whether a loss averages one part over the batch and sums up another, so that their balance is its size.

    `gradients` are those of all outputs where the batch stands in the loss once, twice and three times: of a mean they
    stay, of a sum they grow in step. A loss that compares examples with each other does neither, and passes.
    """
    once, twice, thrice = gradients
    summed, averaged = twice - once, 2 * once - twice
    largest = float(once.abs().max())
    in_step = float((thrice - twice - summed).abs().max()) <= 1e-2 * float(summed.abs().max())
    shares = [float(part.abs().max()) / largest if largest > 0 else 0.0 for part in (summed, averaged)]
    return Finding(
        name="mixed_reduction",
        trouble=in_step and min(shares) > _SHARE,
        numbers={"share_summed": shares[0], "share_averaged": shares[1]},
        threshold=_SHARE,
        relation="all terms of a loss must be means over the batch, or all sums",
        advice="sum over what an example has (dim=1, ...), and average over the examples (dim=0), in every term",
    )


def gradients_of_copies(loss_fn: LossFunction, output: Any, targets: Any, n: int) -> list[Tensor] | None:
    """Return the gradients on outputs of a batch of `n` that stands in the loss once, twice and three times.

    None where an output that the loss reads is none of single examples: it may hold what the model has summed up.
    """
    leaves = map_tensors(fresh_leaf, output)
    wanted = [leaf for leaf in tensors_of(leaves) if leaf.requires_grad]
    by_copies: list[Tensor] = []
    for copies in (1, 2, 3):
        loss = loss_fn(*(map_tensors(lambda one: _repeated(one, n, copies), part) for part in (leaves, targets)))  # noqa: B023
        gradients = torch.autograd.grad(loss.sum(), wanted, allow_unused=True)
        read = [(leaf, gradient) for leaf, gradient in zip(wanted, gradients, strict=True) if gradient is not None]
        if not read or any(leaf.dim() == 0 or len(leaf) != n for leaf, _ in read):
            return None
        by_copies.append(torch.cat([gradient.double().flatten() for _, gradient in read]))
    return by_copies if len({len(one) for one in by_copies}) == 1 else None


def fresh_loss(loss_fn: LossFunction, output: Any, targets: Any) -> Tensor:
    """Return the loss of outputs that are its leaves, with its graph."""
    return loss_fn(map_tensors(fresh_leaf, output), targets)


def fresh_leaf(tensor: Tensor) -> Tensor:
    """Return a copy that is a leaf, with a gradient where its numbers can have one."""
    own = tensor.detach().clone()
    return own.requires_grad_() if own.is_floating_point() else own


def _repeated(tensor: Tensor, n: int, copies: int) -> Tensor:
    return torch.cat([tensor] * copies) if tensor.dim() and len(tensor) == n else tensor


def counts_of(labels: Tensor, n_classes: int) -> list[int]:
    """Return how many labels each class has; what is no class of the loss, such as an ignored index, is left out."""
    whole = labels.flatten().long()
    counts: list[int] = torch.bincount(whole[(whole >= 0) & (whole < n_classes)], minlength=n_classes).tolist()
    return counts
