"""What a loss function does, asked of it directly: its sign, its reduction, and what it leaves out of the gradient."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from goldmark.case import Finding
from goldmark.checks._graph import Node, adds_constant, kind, leaves, leaves_below, nodes, source

LossFunction = Callable[[Any, Any], Tensor]


def check_wrong_sign(loss_fn: LossFunction, output: Tensor, targets: Tensor, *, maximize: bool = False) -> Finding:
    """Find out whether a loss is higher for outputs that are right than for outputs that are wrong.

    Right outputs are made of the targets: logits, log-probabilities or probabilities of the target class, as the
    outputs at hand are; the targets themselves in a regression. `maximize` says that the optimizer climbs.
    """
    climb = -1 if maximize else 1
    compared = []
    for made in _right_and_wrong(output.detach(), targets):
        values = [float(loss_fn(one, targets).detach().double().mean()) for one in made]
        compared.append((climb * (values[0] - values[1]) > 1e-6 * abs(values[1]), values))
    trouble, values = min(compared)  # in none of the ways to lay classes out
    return Finding(
        name="wrong_sign",
        trouble=trouble,
        numbers={"loss_of_right_outputs": values[0], "loss_of_wrong_outputs": values[1]},
        threshold=0.0,
        relation="the loss of right outputs must be below that of wrong ones",
        advice="turn the sign of the loss around",
    )


def _right_and_wrong(output: Tensor, targets: Tensor) -> list[tuple[Tensor, Tensor]]:
    """Return right and wrong outputs, in every layout that classes may have; raise `ValueError` for another kind."""
    layouts = []
    if not targets.is_floating_point() and output.dim() > 2 and output.shape[:-1] == targets.shape:
        right, wrong = _right_and_wrong_classes(output.flatten(0, -2), targets.flatten())  # positions, classes last
        layouts.append((right.reshape(output.shape), wrong.reshape(output.shape)))
    if is_classes(output, targets):
        layouts.append(_right_and_wrong_classes(output, targets))
    return layouts or [_right_and_wrong_numbers(output, targets)]


def _right_and_wrong_numbers(output: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    if targets.shape != output.shape or not targets.is_floating_point():
        raise ValueError(f"outputs {tuple(output.shape)} and targets {tuple(targets.shape)} are of an unknown kind")
    if bool(((targets == 0) | (targets == 1)).all()):
        probabilities = bool((output >= 0).all() and (output <= 1).all())
        scale, offset = (0.98, 0.01) if probabilities else (16.0, -8.0)
        return scale * targets + offset, scale * (1 - targets) + offset
    away = 3 * (targets.std() + 1e-3) * torch.where(torch.arange(targets.numel()) % 2 == 0, 1, -1).to(targets)
    return targets.clone(), targets + away.reshape(targets.shape)


def _right_and_wrong_classes(output: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    classes = output.shape[1]
    one_hot = functional.one_hot(targets.clamp(0, classes - 1).long(), classes).movedim(-1, 1).to(output.dtype)
    sure = one_hot * 0.98 + 0.02 / classes
    if is_distribution(output.exp()):
        return sure.log(), sure.roll(1, dims=1).log()
    if is_distribution(output):
        return sure, sure.roll(1, dims=1)
    return 8 * one_hot, 8 * one_hot.roll(1, dims=1)


def is_classes(output: Tensor, targets: Tensor) -> bool:
    """Tell whether targets are class indices of outputs (B, C, ...)."""
    whole = targets.dtype in (torch.int64, torch.int32, torch.uint8)
    return whole and output.dim() == targets.dim() + 1 and output.shape[:1] + output.shape[2:] == targets.shape


def is_distribution(output: Tensor) -> bool:
    """Tell whether outputs (B, C, ...) are probabilities of classes: none negative, and summing to 1."""
    if output.dim() < 2 or output.shape[1] < 2 or bool((output < 0).any()):
        return False
    return bool(((output.double().sum(dim=1) - 1).abs() < 1e-3).all())


def check_summed_loss(loss_fn: LossFunction, output: Tensor, targets: Tensor, step: float, threshold: float) -> Finding:
    """Find out whether a loss doubles with the batch, where steps in proportion to it are too long.

    `step` is the length of an update over that of the weights; optimizers that divide by the gradient's size (Adam and
    its kin) do not mind a sum, and long steps of a mean have another cause.
    """
    twice = (torch.cat([output, output]), torch.cat([targets, targets]))
    values = [float(loss_fn(made, of).detach().sum()) for made, of in ((output, targets), twice)]
    ratio = values[1] / values[0] if values[0] else 1.0
    return Finding(
        name="summed_loss",
        trouble=ratio > 1.9 and step > threshold,
        numbers={"loss_of_doubled_batch": ratio, "update_to_weight": step},
        threshold=threshold,
        relation="the length of a step must not grow with the batch",
        advice="take the mean over the batch, or divide the learning rate by the batch size",
    )


def check_cut_term(loss: Tensor, terms: Mapping[str, Any]) -> Finding:
    """Find out whether a term of the loss reaches no weight: `.item()`, `.data`, `detach`, or wrapped in a new tensor.

    A term that has a gradient of its own must be part of the loss's graph; of one that has none, the loss must not
    contain a constant. Terms that were computed once more, or are mere numbers, are meant for a log: then it is enough
    that the loss reaches the same weights, apart from what it reaches by the terms that are part of it.
    """
    known = set(nodes(loss.grad_fn))
    own = {name: term.grad_fn for name, term in terms.items() if isinstance(term, Tensor) and term.grad_fn is not None}
    live = [name for name, node in own.items() if node in known]
    apart = [name for name in own if name not in live]
    reached = {id(leaf) for leaf in leaves(loss)}
    lost = [name for name in apart if any(id(leaf) not in reached for leaf in leaves(terms[name]))]
    if live and _has_constant(loss, {name: number(terms[name]) for name in terms}, live):
        beside = {id(leaf) for leaf in leaves(loss, without=[own[name] for name in live])}
        lost += [name for name in apart if all(id(leaf) not in beside for leaf in leaves(terms[name]))]
        lost += [name for name in terms if name not in own and not (beside and not adds_constant(loss))]
    return Finding(
        name="cut_term",
        trouble=bool(lost) or not loss.requires_grad,
        numbers={"terms_cut": float(len(lost)), "terms": float(len(terms))},
        threshold=0.0,
        relation=f"every term of the loss must reach weights: {', '.join(lost or terms)} does not",
        advice="add the tensors themselves: no .item(), .data, detach or torch.tensor(...) on the way to the loss; "
        "create_graph=True where torch.autograd.grad is on it",
    )


def number(term: Any) -> float:
    """Return a term of a loss as a number."""
    return float(term.detach().sum() if isinstance(term, Tensor) else term)


def _has_constant(loss: Tensor, values: Mapping[str, float], live: Sequence[str]) -> bool:
    """Tell whether a loss holds a term as a constant: by its value where terms add up, else by its graph."""
    value, size = number(loss), sum(abs(one) for one in values.values()) + 1e-12
    if abs(value - sum(values[name] for name in live)) < 1e-5 * size:
        return False
    return abs(value - sum(values.values())) < 1e-5 * size or adds_constant(loss)


def check_target_distribution(
    output: Tensor, targets: Tensor, loss: Tensor, threshold: float = 1e-3, *, compared: bool = False
) -> Finding:
    """Find out whether a softmax is compared with targets (B, C) that are no distributions: rows must sum to 1.

    `compared` says that the loss is at rest where outputs are the targets: then the outputs must be the softmax, as a
    loss that takes one of logits would have taken another of the targets, and made distributions of them.
    """
    last = source(output.grad_fn)
    softmaxes = (kind(node) == "LogSoftmax" for node in nodes(loss.grad_fn, past_layers=False))
    softmax = last is not None and kind(last) == "Softmax" if compared else any(softmaxes)
    fits = softmax and targets.is_floating_point() and targets.dim() == 2 and targets.shape == output.shape
    fits = fits and targets.shape[1] > 1 and bool((targets >= 0).all())
    off = float((targets.double().sum(dim=1) - 1).abs().max()) if fits else 0.0
    return Finding(
        name="target_distribution",
        trouble=off > threshold,
        numbers={"furthest_from_1": off},
        threshold=threshold,
        relation="the targets of a softmax must sum to 1 in every example",
        advice="for labels that do not exclude each other use binary_cross_entropy_with_logits",
    )


def check_ignored_class(loss_fn: LossFunction, output: Tensor, targets: Tensor) -> Finding:
    """Find out whether the loss has no gradient for any example of a class, where it has one for others.

    Outputs are (B, C), targets (B,); what is no class of the outputs, as -100, -1 or 255, is meant to be ignored.
    """
    silent = _is_silent(loss_fn, output, targets)
    classes = torch.unique(targets[(targets >= 0) & (targets < output.shape[1])])
    quiet = [int(one) for one in classes if bool(silent[targets == one].all())]
    # where a loss takes the hardest example, or any one, a batch of that class alone has a gradient
    ignored = [one for one in quiet if bool(_is_silent(loss_fn, output, torch.full_like(targets, one)).all())]
    return Finding(
        name="ignored_class",
        trouble=0 < len(ignored) < len(classes),
        numbers={"classes_ignored": float(len(ignored)), "classes": float(len(classes))},
        threshold=0.0,
        relation=f"every class must count in the loss: {ignored} do not",
        advice="look at ignore_index, at class weights of 0, and at masks",
    )


def _is_silent(loss_fn: LossFunction, output: Tensor, targets: Tensor) -> Tensor:
    """Return for which examples (N,) the loss has no gradient, or no finite one, as a mean over nothing has."""
    leaf = output.detach().clone().requires_grad_()
    (gradient,) = torch.autograd.grad(loss_fn(leaf, targets).sum(), leaf)
    return ((gradient == 0) | ~gradient.isfinite()).all(dim=1)


def check_initial_outputs(output: Tensor, targets: Tensor, loss: float, threshold: float = 10.0) -> Finding:
    """Find out whether a fresh model's outputs are far larger than what they are to become.

    Classes: the loss exceeds `threshold` times log C, that of an even guess (Karpathy, "A recipe for training neural
    networks", 2019: verify the loss at the start). Numbers: the outputs' root mean square exceeds 5 `threshold` times
    that of the targets, or of 1.
    """
    classes = is_classes(output, targets)
    if classes:
        ratio, limit = loss / float(torch.tensor(max(output.shape[1], 2)).log()), threshold
    else:
        given = targets[targets.isfinite()].double()
        size = max(float(given.square().mean().sqrt()) if len(given) else 1.0, 1.0)
        scores = output.detach().double()
        kept = scores[~scores.isinf()]  # a choice that is masked is -inf
        ratio, limit = float(kept.square().mean().sqrt()) / size if len(kept) else 0.0, 5 * threshold
    return Finding(
        name="initial_outputs",
        trouble=not ratio <= limit,
        numbers={"ratio": ratio, "loss": loss},
        threshold=limit,
        relation="a fresh model must start near an even guess",
        advice="draw initial weights with variance 1 / inputs, as torch does by default, and scale the inputs",
    )


def check_graph_of_loss(loss: Tensor) -> Finding:
    """Find out whether a loss has no gradient at all."""
    return Finding(
        name="graph_of_loss",
        trouble=not loss.requires_grad,
        numbers={"requires_grad": float(loss.requires_grad)},
        threshold=1.0,
        relation="the loss must depend on trainable weights",
        advice="look for no_grad, detach, .data, .item(), argmax or numpy between the weights and the loss",
    )


def check_targets_with_gradient(output: Tensor | Node, targets: Tensor | Node) -> Finding:
    """Find out whether targets have a gradient to weights that make the outputs too: both are moved towards each other.

    A value that is bootstrapped from the same network is meant to be a number (Sutton and Barto, "Reinforcement
    learning", 2018, on semi-gradients). Both sides of an equation of derivatives are meant to move: there the outputs
    depend on inputs that have a gradient. Each is a tensor, or the operation of a graph that gave it.
    """
    of_output, makers = (leaves_below(one.grad_fn if isinstance(one, Tensor) else one) for one in (output, targets))
    of_targets = {id(leaf) for leaf in makers}
    of_inputs = any(not isinstance(leaf, nn.Parameter) for leaf in of_output)
    shared = set() if of_inputs else {id(leaf) for leaf in of_output} & of_targets
    return Finding(
        name="targets_with_gradient",
        trouble=bool(shared),
        numbers={"weights": float(len(shared))},
        threshold=0.0,
        relation="what a loss compares outputs with must not be moved by it",
        advice="make targets under torch.no_grad(), or detach() them, as of a value that is bootstrapped",
    )


def known_losses(output: Tensor, targets: Any) -> dict[str, float]:
    """Return the losses that torch's own functions give for outputs and targets that fit them, by name."""
    if not isinstance(targets, Tensor) or not output.is_floating_point():
        return {}
    out, targets = output.detach().float(), targets.detach()
    if targets.dtype in (torch.int64, torch.int32, torch.uint8):
        return _class_losses(out, targets.long())
    if targets.shape == out.shape and targets.is_floating_point():
        return _number_losses(out, targets.float())
    if targets.is_floating_point() and targets.numel() == out.numel():
        return _number_losses(out.flatten(), targets.float().flatten())
    return {}


def _class_losses(out: Tensor, targets: Tensor) -> dict[str, float]:
    if out.dim() == targets.dim() + 1 and out.shape[:-1] == targets.shape:
        out, targets = out.reshape(-1, out.shape[-1]), targets.reshape(-1)
    if out.dim() != targets.dim() + 1 or out.shape[0] != targets.shape[0] or out.shape[2:] != targets.shape[1:]:
        return {}
    if bool((targets >= out.shape[1]).any()) or bool(((targets < 0) & (targets != -100)).any()):
        return {}
    losses = {"cross_entropy": float(functional.cross_entropy(out, targets))}
    losses["nll"] = float(functional.nll_loss(out, targets))
    return losses


def _number_losses(out: Tensor, targets: Tensor) -> dict[str, float]:
    losses = {
        "mse": float(functional.mse_loss(out, targets)),
        "l1": float(functional.l1_loss(out, targets)),
        "smooth_l1": float(functional.smooth_l1_loss(out, targets)),
    }
    if bool((targets >= 0).all() and (targets <= 1).all()):
        losses["bce_with_logits"] = float(functional.binary_cross_entropy_with_logits(out, targets))
        if bool((out >= 0).all() and (out <= 1).all()):
            losses["bce"] = float(functional.binary_cross_entropy(out, targets))
    return losses


def matching_loss(value: float, losses: Mapping[str, float], factor: float = 1.0, rel: float = 1e-3) -> str | None:
    """Return the name of the known loss that, times `factor`, is `value`; None where none is."""
    close = (name for name, known in losses.items() if abs(known * factor - value) <= rel * abs(value) + 1e-9)
    return next(close, None)


def check_negative_loss(value: float, losses: Mapping[str, float]) -> Finding:
    """Find out whether a loss is the negative of one that cannot be negative."""
    name = matching_loss(-value, {key: known for key, known in losses.items() if known > 0}) if value < 0 else None
    return Finding(
        name="negative_loss",
        trouble=name is not None,
        numbers={"loss": value},
        threshold=0.0,
        relation=f"the loss is -{name}: training makes the error grow" if name else "",
        advice="turn the sign of the loss around",
    )


def check_zero_loss(values: Tensor) -> Finding:
    """Find out whether the losses (N,) are exactly zero from the first step on."""
    zero = len(values) >= 3 and bool((values == 0).all())
    return Finding(
        name="zero_loss",
        trouble=zero,
        numbers={"losses": float(len(values)), "largest": float(values.abs().max()) if len(values) else 0.0},
        threshold=0.0,
        relation="a loss that is exactly zero from the start teaches nothing",
        advice="look at what is compared: one output under a softmax, targets made of the outputs, an empty mask",
    )


def check_constant_loss(values: Tensor, n_batches: int, fewest: int = 5) -> Finding:
    """Find out whether the losses (N,) of at least two unlike batches are one and the same number."""
    constant = len(values) >= fewest and n_batches > 1 and bool((values == values[0]).all()) and bool(values[0] != 0)
    return Finding(
        name="constant_loss",
        trouble=constant,
        numbers={"losses": float(len(values)), "spread": float(values.max() - values.min()) if len(values) else 0.0},
        threshold=0.0,
        relation="unlike batches must give unlike losses",
        advice="the loss does not see the outputs: look for constant outputs, detached tensors and dead units",
    )
