"""Outputs and losses that do not fit each other, read from the graph of the loss: no threshold is needed."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from goldmark.case import Finding
from goldmark.checks._crossing import crossed_factors, crosses_examples
from goldmark.checks._graph import CROSS_ENTROPIES, LAYERS, Node, kind, nodes, shape_of, signed, source, sources
from goldmark.checks._pairs import pairs
from goldmark.checks._structures import size_of, tensors_of

_LOGIT_LOSSES = ("LogSoftmax", "BinaryCrossEntropyWithLogits")
_SQUASHED = ("Softmax", "Sigmoid", "Relu", "LogSigmoid")
_UNNORMALISED = ("Addmm", "Mm", "Bmm", "Convolution", "Softmax", "Sigmoid", "Relu", "Tanh", "UnsafeView")
_LAYERS = ("Addmm", "Mm", "Bmm", "Convolution")
_VIEWS = ("View", "UnsafeView", "ReshapeAlias", "Reshape", "Unsqueeze", "Squeeze")
_POSITIVE = ("Exp", "Softplus", "Relu")
_REDUCING = ("Sum", "Mean", "Div", "Mul", "Add")
_RANGES = {
    "Sigmoid": (0.0, 1.0),
    "Softmax": (0.0, 1.0),
    "Tanh": (-1.0, 1.0),
    "Relu": (0.0, torch.inf),
    "Softplus": (0.0, torch.inf),
    "Exp": (0.0, torch.inf),
}


def check_normalized_outputs(loss: Tensor) -> Finding:
    """Find out whether a loss that wants logits is given probabilities, or one that wants log-probabilities is not.

    Softmax, sigmoid, ReLU or the exponential of a log-softmax directly before a softmax or before a loss on logits;
    anything but log-probabilities before a negative log-likelihood or a CTC loss, or as the first argument of a
    Kullback-Leibler divergence; outputs in the place of a binary cross-entropy's targets; exp, softplus or ReLU before
    a Poisson loss of logarithms. Log-softmax twice is harmless, as it is idempotent; before binary cross-entropy on
    logits it is not. A likelihood of outputs is a cross-entropy where the loss adds their logsumexp itself.
    """
    known = list(nodes(loss.grad_fn, past_layers=False))
    summed = [below for node in known if kind(node) == "Logsumexp" for below in sources(node)]
    by_hand = [node for node in known if kind(node) == "NllLoss" and any(one in summed for one in sources(node))]
    pairs = [pair for node in known if node not in by_hand for pair in _wrong_pairs(node)]
    pairs += [(name, "kl_div") for name in _given_to_divergences(loss)]
    pairs += [("the targets", name) for name in _given_as_targets(loss)]
    pairs += [(name, "poisson_nll_loss of logarithms") for name in _given_as_log_rates(loss)]
    names = " before ".join(pairs[0]) if pairs else ""
    return Finding(
        name="normalized_outputs",
        trouble=bool(pairs),
        numbers={"pairs": float(len(pairs))},
        threshold=0.0,
        relation=f"a loss gets what it does not compute for itself: {names}",
        advice="give cross_entropy, ..._with_logits and poisson_nll_loss raw outputs; nll_loss, ctc_loss and kl_div "
        "log_softmax",
    )


def _wrong_pairs(node: Node) -> list[tuple[str, str]]:
    name = kind(node)
    below = [_normaliser(following) for following in sources(node)[:1]]
    if name in _LOGIT_LOSSES or name == "Softmax":
        squashed = (*_SQUASHED, "LogSoftmax") if name == "BinaryCrossEntropyWithLogits" else _SQUASHED
        wrong = [other for other in below if other in squashed and not (name == "Softmax" and other == "Relu")]
        return [(other, name) for other in wrong if not (name == "Softmax" and other == "Sigmoid")]
    if name in ("NllLoss", "NllLoss2D", "CtcLoss"):
        is_across = _is_across_time if name == "CtcLoss" else _is_across
        across = [("log-softmax over another dimension than the classes", name)] if is_across(node) else []
        return [(other, name) for other in below if other in _UNNORMALISED] + across
    if name == "BinaryCrossEntropy":
        unbounded = {*LAYERS, "Relu", "Tanh", "LogSoftmax", "LogSigmoid"}
        given = [_normaliser(_before_clamp(following)) for following in sources(node)[:1]]
        return [(other, name) for other in given if other in unbounded]
    return []


def _is_across(node: Node) -> bool:
    """Tell whether a likelihood (N, C, ...) is given a log-softmax over another dimension than the classes.

    Between the two may lie views: of (N, T, C) as (N T, C), or of (N, C, T) as (N, C, 1, T).
    """
    given = below = node.next_functions[0][0]
    while below is not None and kind(below) in _VIEWS:
        below = below.next_functions[0][0]
    if below is None or kind(below) != "LogSoftmax":
        return False
    shape, own = shape_of(given) or (), shape_of(below) or ()
    classes = 1 if len(shape) > 2 or own == shape else len(own) - 1
    fits = len(shape) > 1 and len(own) > 1 and own[classes] == shape[1] > 1
    return fits and signed(below._saved_dim) % len(own) != classes  # noqa: SLF001


def _is_across_time(node: Node) -> bool:
    """Tell whether a CTC loss (T, N, C) is given a log-softmax over a dimension that cannot be that of the classes."""
    given, below = node.next_functions[0][0], next(iter(sources(node)), None)
    if below is None or kind(below) != "LogSoftmax":
        return False
    shape, own = shape_of(given) or (), shape_of(below) or ()
    return bool(shape) and bool(own) and own[signed(below._saved_dim) % len(own)] != shape[-1]  # noqa: SLF001


def _given_as_targets(loss: Tensor) -> list[str]:
    """Return the binary cross-entropies that get outputs as targets alone, where no other gets them as outputs."""
    crosses = [node for node in nodes(loss.grad_fn, past_layers=False) if kind(node) in CROSS_ENTROPIES]
    swapped = [node for node in crosses if len(node.next_functions) > 1 and node.next_functions[0][0] is None]
    return [kind(node) for node in swapped if len(swapped) == len(crosses)]


def _before_clamp(node: Node) -> Node:
    """Return what a clamp was put on, as is done to keep logarithms finite."""
    while kind(node) in ("Clamp", "ClampMin", "ClampMax") and sources(node):
        node = sources(node)[0]
    return node


def _normaliser(node: Node) -> str:
    """Return the operation of a node; exp(log-softmax) is a softmax, and log(softmax) a log-softmax.

    A product to which a bias is added, as torch takes apart a layer of sequences that lie transposed, is the product.
    """
    name = kind(node)
    if name == "Add":
        added = [kind(following) for following in sources(node)]
        return next((one for one in added if one in _LAYERS and "AccumulateGrad" in added), name)
    if name in ("Exp", "Log"):
        inner = next(map(kind, sources(node)), "")
        return {("Exp", "LogSoftmax"): "Softmax", ("Log", "Softmax"): "LogSoftmax"}.get((name, inner), name)
    return name


def _given_to_divergences(loss: Tensor) -> list[str]:
    """Return what gave the first arguments x of the Kullback-Leibler divergences in a loss, where that is no logarithm.

    torch computes t log t - t x, or e^t (t - x) with `log_target`, entry by entry, for constant targets t.
    """
    waiting, given = [source(loss.grad_fn)], []
    known: set[Node | None] = {None}
    while waiting:
        node = waiting.pop()
        if node in known:
            continue
        known.add(node)
        plain, of_logarithms = _factor(_subtrahend(node)), _subtrahend(_factor(node))
        if plain is not None or of_logarithms is not None:
            names = (_normaliser(_undivided(argument)) for argument in (plain, of_logarithms) if argument is not None)
            given += [name for name in names if name in _SQUASHED[:2] or (plain is not None and name in _LAYERS)]
        elif kind(node) in _REDUCING:
            waiting += sources(node)
    return given


def _given_as_log_rates(loss: Tensor) -> list[str]:
    """Return what gave the logarithms x of the Poisson losses in a loss, where that cannot be negative.

    torch computes e^x - t x, entry by entry, for constant targets t.
    """
    given: list[str] = []
    for node in nodes(loss.grad_fn, past_layers=False):
        below = [source(following) for following, _ in node.next_functions] if kind(node) == "Sub" else []
        if len(below) == 2 and below[0] is not None and kind(below[0]) == "Exp" and sources(below[0]):
            rate = sources(below[0])[0]
            given += [kind(rate)] if kind(rate) in _POSITIVE and _factor(below[1]) == rate else []
    return given


def _subtrahend(node: Node | None) -> Node | None:
    """Return what gave b in a - b for a constant a."""
    below = [] if node is None or kind(node) != "Sub" else [source(following) for following, _ in node.next_functions]
    return below[1] if len(below) == 2 and below[0] is None else None


def _factor(node: Node | None) -> Node | None:
    """Return what gave b in a b for a constant a and several entries."""
    below = sources(node) if node is not None and kind(node) == "Mul" and shape_of(node) else []
    return below[0] if len(below) == 1 else None


def _undivided(node: Node) -> Node:
    """Return what was divided by a constant, as by a temperature."""
    while kind(node) == "Div" and len(sources(node)) == 1:
        node = sources(node)[0]
    return node


def check_single_class_softmax(loss: Tensor) -> Finding:
    """Find out whether a softmax or log-softmax runs over one output: its result is 1 or 0 whatever the output."""
    last = nodes(loss.grad_fn, past_layers=False)
    widths = [width for node in last if (width := _softmax_width(node)) is not None]
    return Finding(
        name="single_class_softmax",
        trouble=1 in widths,
        numbers={"narrowest": float(min(widths, default=0))},
        threshold=1.0,
        relation="a softmax over one output is constant, so that nothing is learnt",
        advice="use a sigmoid (binary_cross_entropy_with_logits) for one output, or give every class an output",
    )


def _softmax_width(node: Node) -> int | None:
    if kind(node) not in ("Softmax", "LogSoftmax"):
        return None
    shape, dim = shape_of(node), getattr(node, "_saved_dim", None)
    if shape is None or dim is None or not shape:
        return None
    dim = signed(dim)
    return shape[dim] if -len(shape) <= dim < len(shape) else None


def check_unreachable_targets(output: Tensor, targets: Tensor, threshold: float = 0.01) -> Finding:
    """Find out whether more than `threshold` of the targets lie outside what the last activation can give.

    Outputs may have been chosen by `gather`, as values of actions are.
    """
    node = source(output.grad_fn)
    while node is not None and kind(node) == "Gather":
        node = source(node.next_functions[0][0])
    low, high = _RANGES.get(kind(node) if node is not None else "", (-torch.inf, torch.inf))
    comparable = targets.is_floating_point() and targets.numel() == output.numel()
    outside = float(((targets < low - 1e-3) | (targets > high + 1e-3)).double().mean()) if comparable else 0.0
    return Finding(
        name="unreachable_targets",
        trouble=outside > threshold,
        numbers={"share_outside": outside, "lowest": low, "highest": high},
        threshold=threshold,
        relation="every target must lie in the range of the last activation",
        advice="leave the last activation out, or scale the targets to its range",
    )


def aligned(output: Tensor, targets: Tensor) -> bool:
    """Tell whether outputs and targets broadcast to more pairs than there are targets: (B, 1) against (B,)."""
    if output.shape == targets.shape:
        return True
    try:
        shape = np.broadcast_shapes(tuple(output.shape), tuple(targets.shape))
    except ValueError:
        return True  # such a loss does not broadcast: it indexes, or raises
    return math.prod(shape) <= max(output.numel(), targets.numel())


def check_shape_broadcast(output: Any, targets: Any, loss: Tensor, threshold: float = 1e-5) -> Finding:
    """Find out whether a loss compares every output with every target, because shapes broadcast.

    It is trouble where the loss equals a known loss over all pairs, and not that over matching pairs; or where its
    graph holds a mean over all pairs of examples, as that of an actor-critic may. A constant column that a row was
    multiplied by, or a row that a column was, is known before the backward pass alone.
    """
    over_pairs, paired = _off_known_losses(output, targets, loss)
    equal = over_pairs < threshold < paired
    factors = 0 if equal else crossed_factors(loss)
    n = factors or size_of(output) or size_of(targets)
    crosses = factors > 0 or (not equal and crosses_examples(loss, output, targets))
    shapes = [" and ".join(str(tuple(one.shape)) for one in tensors_of(given)) for given in (output, targets)]
    compared = f"a row ({n},) and a column ({n}, 1)" if crosses else f"outputs {shapes[0]} and targets {shapes[1]}"
    measured = {"off_over_all_pairs": over_pairs, "off_over_matching_pairs": paired}
    return Finding(
        name="shape_broadcast",
        trouble=equal or crosses,
        numbers={"pairs": float(n * n), "examples": float(n)} if crosses else measured,
        threshold=float(n) if crosses else threshold,
        relation=f"{compared} must match one by one",
        advice="give both one shape: outputs.squeeze(-1), or targets.unsqueeze(-1)",
    )


def _off_known_losses(output: Any, targets: Any, loss: Tensor) -> tuple[float, float]:
    """Return how far a loss is off the nearest known one over all pairs, and over matching pairs, where they differ."""
    for _, out, target in list(pairs(output, targets))[:1]:
        if aligned(out, target) or out.numel() != target.numel() or not target.is_floating_point():
            break
        value, scale = float(loss.detach()), 1e-12 + abs(float(loss.detach()))
        flat = _elementwise(out.flatten(), target.flatten().to(out.dtype))
        over_pairs = min(abs(other - value) / scale for other in _elementwise(out, target.to(out.dtype)))
        return over_pairs, min(abs(other - value) / scale for other in flat)
    return torch.inf, torch.inf


def _elementwise(output: Tensor, targets: Tensor) -> list[float]:
    """Return the mean and the sum of common losses over whatever pairs the shapes give."""
    error = (output.detach() - targets).double()
    terms = [error.square(), error.abs(), _huber(error), (error.cosh()).log(), error.square() / 2]
    logits = output.detach().double()
    terms.append(logits.clamp_min(0) - logits * targets + torch.log1p((-logits.abs()).exp()))
    values = [float(reduce) for term in terms for reduce in (term.mean(), term.sum())]
    return [*values, float(error.square().mean().sqrt())]


def _huber(error: Tensor) -> Tensor:
    return torch.where(error.abs() < 1, error.square() / 2, error.abs() - 0.5)


def check_broadcast_loss(loss_fn: Any, output: Tensor, targets: Any, threshold: float = 1e-6) -> Finding:
    """Find out whether the loss of an example depends on the targets of others, where shapes could broadcast.

    Targets of the second half are moved; the gradient at the first half of the outputs must not change.
    """
    moved = targets.clone()
    half = len(targets) // 2
    moved[half:] = moved[half:].flip(0) + 1
    gradients = [gradient_at(loss_fn, output, changed)[:half] for changed in (targets, moved)]
    # as directions: the gradient of a root mean square has a length that depends on all examples
    directions = [gradient / (gradient.abs().max() + 1e-12) for gradient in gradients]
    change = float((directions[0] - directions[1]).abs().max())
    return Finding(
        name="broadcast_loss",
        trouble=not aligned(output, targets) and change > threshold,
        numbers={"change_of_gradient": change},
        threshold=threshold,
        relation=f"outputs {tuple(output.shape)} and targets {tuple(targets.shape)} must match one by one",
        advice="give both one shape: outputs.squeeze(-1), or targets.unsqueeze(-1)",
    )


def gradient_at(loss_fn: Any, output: Tensor, targets: Any) -> Tensor:
    """Return the gradient of a loss on outputs; zero where the loss does not depend on them."""
    leaf = output.detach().clone().requires_grad_()
    loss = loss_fn(leaf, targets).sum()
    (gradient,) = torch.autograd.grad(loss, leaf, allow_unused=True) if loss.requires_grad else (None,)
    return torch.zeros_like(leaf) if gradient is None else gradient


def check_misaligned_targets(
    outputs: Tensor, changed_outputs: Tensor, gradient: Tensor, changed_gradient: Tensor, threshold: float = 0.5
) -> Finding:
    """Find out whether the target of the first example pulls on outputs of other examples.

    Pass outputs as they are and with other inputs for the first example, then the gradient of the loss on them as it
    is and with another target for the first example. The dimension along which inputs moved the first outputs alone is
    that of the examples. A loss that compares examples moves more gradients than one example has outputs, and passes.
    What all gradients are multiplied by is no pull: a mean over targets that count has another number of them.
    """
    moved = (outputs - changed_outputs).abs() > 1e-5 * (float(outputs.abs().max()) + 1e-12)
    heard = (gradient != 0) & (changed_gradient != 0)
    factor = float((changed_gradient[heard].double() / gradient[heard].double()).median()) if bool(heard.any()) else 1.0
    pulled = (gradient * factor - changed_gradient).abs() > 1e-6 * (float(gradient.abs().max()) + 1e-12)
    n_pulled, share = int(pulled.sum()), 1.0
    for dim in range(min(2, moved.dim())):
        elsewhere = moved.narrow(dim, 1, moved.shape[dim] - 1)
        own = pulled.select(dim, 0)
        if bool(moved.any()) and not bool(elsewhere.any()) and 0 < n_pulled <= own.numel():
            share = float(own.sum()) / n_pulled
    return Finding(
        name="misaligned_targets",
        trouble=share < threshold,
        numbers={"share_on_own_outputs": share, "outputs_pulled": float(n_pulled)},
        threshold=threshold,
        relation="the target of an example must pull on the outputs of that example",
        advice="bring outputs and targets into one order (batch first, or time first) before they are flattened",
    )
