"""The probes of a preflight that concern the loss: what it compares, and what it is given."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import is_parametrized

from goldmark.case import Finding
from goldmark.checks import _losses, _modes, _outputs, _reduction
from goldmark.checks._binary import check_unlearnable_label
from goldmark.checks._collapsing import are_centred, check_collapsing_objective
from goldmark.checks._constants import findings_before_pass
from goldmark.checks._cosines import check_unscaled_cosines
from goldmark.checks._crossing import crossed_factors
from goldmark.checks._divergence import check_divergence_weight
from goldmark.checks._graph import kind, leaves, source
from goldmark.checks._ordinal import check_merged_grades
from goldmark.checks._ownership import climbs, owned
from goldmark.checks._pairs import indexes_outputs, pairs, reads_outside, replaced
from goldmark.checks._preflight import Look, Probe
from goldmark.checks._pulls import is_taught_in_place
from goldmark.checks._risks import check_unsorted_risks
from goldmark.checks._start import has_size_of_its_own
from goldmark.checks._structures import map_tensors, rows, size_of, tensors_of
from goldmark.checks._unbounded import check_unbounded_loss
from goldmark.checks._unreached import (
    UnreachedTerms,
    check_divergence_arguments,
    check_sign_targets,
    check_unreached_term,
)

# Operations that end in a distance or a similarity: how large it should be is the loss's to say, not the target's.
_DISTANCES = frozenset(("LinalgVectorNorm", "Norm", "Sqrt", "Sum", "Cdist", "EuclideanDist", "Pow"))


def aims_at(look: Look, place: Any, target: Tensor) -> bool:
    """Tell whether the loss is at rest where the output is the target: then it compares the two as they are.

    A root of squares is 0 there and has no gradient, which is at rest as well.
    """
    detached = map_tensors(torch.Tensor.detach, look.first.output)
    fresh = next(one for where, one, _ in pairs(detached, look.first.targets) if where == place)
    sizes = []
    for start in (fresh, target.reshape(fresh.shape).to(fresh.dtype)):
        leaf = start.clone().requires_grad_()
        loss = look.loss_fn(replaced(detached, place, leaf), look.first.targets)
        (gradient,) = torch.autograd.grad(loss.sum(), leaf, allow_unused=True)
        sizes.append(0.0 if gradient is None else float(gradient.abs().max()))
    at_target = float(loss.detach().sum())
    return sizes[0] > 0 and (sizes[1] <= 1e-3 * sizes[0] or (math.isnan(sizes[1]) and math.isfinite(at_target)))


def _graph_of_loss(look: Look) -> Finding | None:
    loss = look.first.loss
    if not isinstance(loss, Tensor):
        raise TypeError(f"the loss is a {type(loss).__name__}, not a tensor")
    return _losses.check_graph_of_loss(loss)


def _outputs_of(look: Look) -> Iterator[Finding]:
    if look.first.loss is None:
        return
    yield _outputs.check_normalized_outputs(look.first.loss)
    yield _outputs.check_single_class_softmax(look.first.loss)
    yield check_unscaled_cosines(look.first.loss)
    for place, output, target in pairs(look.first.output, look.first.targets):
        if target.numel() == output.numel() and target.is_floating_point() and aims_at(look, place, target):
            yield _outputs.check_unreachable_targets(output, target)
            if place is None and output.dim() == 2:
                read = _outputs.gradient_at(look.loss_fn, output, target).any(dim=1)
                yield _losses.check_target_distribution(output[read], target[read], look.first.loss, compared=True)
            if target.numel() == len(target):
                yield _modes.check_batchnorm_on_output(output)


def _wrong_sign(look: Look) -> Iterator[Finding]:
    output, targets, loss = look.first.output, look.first.targets, look.first.loss
    if not isinstance(output, Tensor) or not isinstance(targets, Tensor) or loss is None or not look.reads_targets:
        return
    finding = _losses.check_target_distribution(output, targets, loss)
    yield from [] if finding.trouble and not _pull_in_proportion(look, output, targets) else [finding]
    if _losses.is_classes(output, targets) or (targets.is_floating_point() and output.numel() == targets.numel()):
        finding = _losses.check_initial_outputs(output, targets, float(loss.detach().mean()))
        yield from [] if finding.trouble and has_size_of_its_own(look) else [finding]
    if _losses.is_classes(output, targets) and targets.dim() == 1 and not _leaves_out_a_class(look):
        yield _losses.check_ignored_class(look.loss_fn, output, targets)
    last = source(output.grad_fn)
    if (last is None or kind(last) not in _DISTANCES) and (not _are_numbers(targets) or aims_at(look, None, targets)):
        upwards = climbs(look.optimizers, look.names)
        finding = _losses.check_wrong_sign(look.loss_fn, output, targets, maximize=upwards)
        looked_up = not _losses.is_classes(output, targets) or indexed(look, None, output)
        told = not finding.trouble or (looked_up and is_taught_in_place(look.loss_fn, output, targets))
        yield from [finding] if told else []  # else a loss that shifts, or of outputs that are no classes, as of grades


def _pull_in_proportion(look: Look, output: Tensor, targets: Tensor) -> bool:
    """Tell whether what targets (B, C) pull on the outputs grows evenly with them: the loss takes them as they are.

    A loss that normalises its targets (`t / t.sum(1)`, a softmax of grades as in ListNet) makes distributions of them.
    """
    once, twice, thrice = (_outputs.gradient_at(look.loss_fn, output, targets * factor) for factor in (1, 2, 3))
    growth = float((twice - once).abs().max())
    grows = growth > 1e-3 * float(once.abs().max())
    return grows and float((thrice - 2 * twice + once).abs().max()) <= 1e-3 * growth


def indexed(look: Look, place: Any, output: Tensor) -> bool:
    """Tell whether the loss looks outputs (B, C, ...) up by the class that a target names."""
    return indexes_outputs(look.loss_fn, look.first.output, look.first.targets, place, output.shape[1])


def _unlearnable_label(look: Look) -> Finding | None:
    output, targets = look.first.output, look.first.targets
    if not isinstance(output, Tensor) or not isinstance(targets, Tensor) or output.numel() != targets.numel():
        return None
    if not look.reads_targets or targets.dtype == torch.bool or not bool(((targets == 0) | (targets == 1)).all()):
        return None
    return check_unlearnable_label(look.loss_fn, output, targets)


def _merged_grades(look: Look) -> Finding | None:
    """Judge outputs (N, K) whose targets are the grades 0 to K, of which the loss has been given the last."""
    output, targets = look.first.output, look.first.targets
    if not isinstance(output, Tensor) or not isinstance(targets, Tensor) or targets.is_floating_point():
        return None
    if output.dim() != 2 or targets.shape != output.shape[:1] or not 2 <= output.shape[1] == int(targets.max()):
        return None
    occurring = sorted({*torch.cat(look.train.labels).tolist()}) if look.train.labels else []
    return check_merged_grades(look.loss_fn, output) if occurring == list(range(output.shape[1] + 1)) else None


def _leaves_out_a_class(look: Look) -> bool:
    """Tell whether a loss has a weight of 0 for a class, which is said on purpose."""
    loss = _reduction.fresh_loss(look.loss_fn, look.first.output, look.first.targets)
    return any(0 in weights for weights in _reduction.weights_in(loss))


def _are_numbers(targets: Tensor) -> bool:
    """Tell whether targets are numbers other than 0 and 1, which a loss may do anything with: views to be embedded."""
    return targets.is_floating_point() and not bool(((targets == 0) | (targets == 1)).all())


def unread(look: Look, place: Any, output: Tensor, target: Tensor) -> Tensor:
    """Return which class indices have no output and are not read, as an `ignore_index` of 255 is not.

    Where labels on a GPU cannot be changed safely, those whose examples have no gradient.
    """
    outside = (target < 0) | (target >= output.shape[1])
    if not bool(outside.any()):
        return outside
    if not reads_outside(look.loss_fn, look.first.output, look.first.targets, place, output.shape[1]):
        return outside
    detached = map_tensors(torch.Tensor.detach, look.first.output)

    def loss_of(leaf: Tensor, targets: Any) -> Tensor:
        return look.loss_fn(replaced(detached, place, leaf), targets)

    return outside & (_outputs.gradient_at(loss_of, output, look.first.targets) == 0).all(dim=1)


def _dropout_on_output(look: Look) -> Finding | None:
    output, dropped = look.first.first_output, look.first.last_dropped
    if dropped is None or not look.reads_targets:
        return None
    return _modes.check_dropout_on_output(output, dropped)


def _given(look: Look) -> Iterator[Finding]:
    """Call the loss once more on detached outputs: a backward pass has freed what its graph held."""
    with UnreachedTerms(_constants(look), zero=False) as heard:
        loss = _reduction.fresh_loss(look.loss_fn, look.first.output, look.first.targets)
    yield check_unreached_term(heard.terms.added)
    yield check_divergence_arguments(heard.terms.divergences)
    yield check_sign_targets([one for one in heard.terms.signed if not _may_be_ties(look, *one)])
    yield _reduction.check_probability_targets(loss)
    yield from findings_before_pass(loss)
    if crossed_factors(loss):
        yield _outputs.check_shape_broadcast(look.first.output, look.first.targets, loss)
    if look.reads_targets:
        known = [targets for _, targets in look.train.batches]
        yield check_unsorted_risks(look.loss_fn, look.first.output, look.first.targets, known)
    labels = torch.cat(look.train.labels) if look.train.labels else look.train.targets()
    for weights in _reduction.weights_in(loss):
        yield _reduction.check_class_weights(weights, _reduction.counts_of(labels, len(weights)))


def _may_be_ties(look: Look, name: str, targets: Tensor) -> bool:
    """Tell whether a ranking may have made its targets of pairs in descending order, where 0 is a tie."""
    given = [one.flatten().to(targets) for one in tensors_of(look.first.targets)]
    return name == "margin_ranking_loss" and not any(torch.equal(one, targets.flatten()) for one in given)


def _unreached(look: Look) -> Finding | None:
    """Call the loss where only those outputs have a gradient that have one in training.

    What a frozen part gives may have none for a while; its distance from itself would stay at 0.
    """
    if all(one.requires_grad or not one.is_floating_point() for one in tensors_of(look.first.output)):
        return None
    with UnreachedTerms(_constants(look), zero=True) as heard:
        look.loss_fn(map_tensors(_own_leaf, look.first.output), look.first.targets)
    return check_unreached_term(heard.terms.added)


def _own_leaf(tensor: Tensor) -> Tensor:
    return tensor.detach().clone().requires_grad_(tensor.requires_grad)


def _constants(look: Look) -> set[int]:
    return {one.untyped_storage().data_ptr() for one in (*look.model.parameters(), *look.model.buffers())}


def _adds_up(look: Look) -> Finding | None:
    """Let a few examples stand in the loss twice and three times."""
    n, output, targets = size_of(look.first.inputs), look.first.output, look.first.targets
    if n < 2 or size_of(output) != n:
        return None
    few = min(n, 4)
    output, targets = (rows(part, slice(0, few)) if size_of(part) == n else part for part in (output, targets))
    gradients = _reduction.gradients_of_copies(look.loss_fn, output, targets, few)
    return None if gradients is None else _reduction.check_mixed_reduction(gradients)


def _divergence_weight(look: Look) -> Finding | None:
    if sum(1 for _ in tensors_of(look.first.output)) < 3:  # a reconstruction, and what its code is drawn from
        return None
    return check_divergence_weight(look.loss_fn, look.first.output, look.first.targets)


def _collapsing_objective(look: Look) -> Finding | None:
    """Judge a loss of nothing but embeddings that weights of an optimizer give, all of one shape (N, L)."""
    if look.reads_targets:
        return None
    fresh = map_tensors(_reduction.fresh_leaf, look.first.output)
    loss, given = look.loss_fn(fresh, look.first.targets), list(tensors_of(fresh))
    if not {id(one) for one in leaves(loss)} <= {id(one) for one in given}:  # some other term has weights of its own
        return None
    places = _trained_places(look, loss, given)
    outputs = [one for place, one in enumerate(tensors_of(look.first.output)) if place in places]
    shapes = {tuple(one.shape) for one in outputs}
    if len(outputs) < 2 or len(shapes) > 1 or outputs[0].dim() != 2 or min(outputs[0].shape) < 2:
        return None
    if are_centred(outputs) or any(map(is_parametrized, look.model.modules())):
        return None

    def loss_of(moved: list[Tensor]) -> Tensor:
        by_place = dict(zip(places, moved, strict=True))
        all_tensors = iter([by_place.get(place, one.detach()) for place, one in enumerate(given)])
        return look.loss_fn(map_tensors(lambda _: next(all_tensors), look.first.output), look.first.targets)

    return check_collapsing_objective(loss_of, outputs)


def _trained_places(look: Look, loss: Tensor, given: list[Tensor]) -> list[int]:
    """Return the places of the outputs that a loss moves through weights of an optimizer."""
    wanted = {place: one for place, one in enumerate(given) if one.requires_grad}
    gradients = torch.autograd.grad(loss.sum(), list(wanted.values()), allow_unused=True)
    read = [place for place, one in zip(wanted, gradients, strict=True) if one is not None and bool(one.any())]
    mine, outputs = owned(look.optimizers), list(tensors_of(look.first.output))
    return [place for place in read if any(id(leaf) in mine for leaf in leaves(outputs[place]))]


def _unbounded_loss(look: Look) -> Iterator[Finding]:
    """Judge what the loss reads beside outputs, or as one of them, and goes down it: a critic or multipliers climb."""

    def loss_of() -> Tensor:
        torch.default_generator.manual_seed(0)
        return look.loss_fn(map_tensors(_leaf_or_parameter, look.first.output), look.first.targets)

    together = [one for one in look.optimizers if not look.names.keys().isdisjoint(owned([one]))]
    falling = [group for one in together for group in one.param_groups if not group.get("maximize", False)]
    loss = loss_of()
    read = {id(leaf) for leaf in leaves(loss)}
    weights = [one for group in falling for one in group["params"] if id(one) in read]
    slopes = torch.autograd.grad(loss.sum(), weights, allow_unused=True) if weights else ()
    for parameter, slope in zip(weights, slopes, strict=True):
        if slope is not None and bool((slope >= 0).all()):  # else it has none of its own
            yield check_unbounded_loss(loss_of, parameter)


def _leaf_or_parameter(tensor: Tensor) -> Tensor:
    """Return a copy of what a model gave, and what it handed out as it is."""
    return tensor if isinstance(tensor, nn.Parameter) else _reduction.fresh_leaf(tensor)


LOSS_PROBES: tuple[Probe, ...] = (
    *(_graph_of_loss, _outputs_of, _dropout_on_output, _wrong_sign, _given, _adds_up, _divergence_weight, _unreached),
    *(_unlearnable_label, _merged_grades, _collapsing_objective, _unbounded_loss),
)
