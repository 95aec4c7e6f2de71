"""The probes of a preflight: each puts one check to a look at a program, or returns None where it does not apply."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, IterableDataset, IterDataPipe

from goldmark.case import Finding
from goldmark.checks import _data, _loaders, _losses, _networks, _ownership, _steps
from goldmark.checks import _labels as _labels_checks
from goldmark.checks import _leaks as _leaks_checks
from goldmark.checks._edge_probes import EDGE_PROBES
from goldmark.checks._independence import check_labels_independent
from goldmark.checks._input_probes import INPUT_PROBES, looked_up, modes_not_switched
from goldmark.checks._loss_probes import LOSS_PROBES, aims_at, indexed, unread
from goldmark.checks._matching_probes import MATCHING_PROBES
from goldmark.checks._model_probes import MATRICES, MODEL_PROBES
from goldmark.checks._pairs import compares_labels, pairs
from goldmark.checks._passes import ForwardPass, Half, forward_backward, order_of, used_parameters
from goldmark.checks._preflight import Look, Probe
from goldmark.checks._scale import check_target_scale, lies_among
from goldmark.checks._sequence_probes import (
    behind_lengths,
    directions,
    future_leak,
    padding,
    target_lag,
    taught_lag,
)
from goldmark.checks._split_probes import SPLIT_PROBES
from goldmark.checks._start import units_without_gradient
from goldmark.checks._structures import call, first_tensor, map_tensors, row_keys, rows, size_of, tensors_of
from goldmark.checks._transposed import transposed_targets
from goldmark.checks._volume import log_determinant
from goldmark.checks._workers import check_worker_randomness, check_worker_shards

_MOST_COLUMNS = 64  # of a table
_NORMS = (nn.modules.batchnorm._NormBase, nn.LayerNorm, nn.GroupNorm)  # noqa: SLF001


# data


def _not_finite(look: Look) -> Iterator[Finding]:
    for batch in [*look.train.batches, *(look.val.batches if look.val else ())]:
        finding = _data.check_not_finite(list(tensors_of(batch)))
        if finding.trouble:
            inputs, targets = map_tensors(lambda tensor: tensor.clone(), batch)
            one = forward_backward(look.model, inputs, targets, look.loss_fn)
            yield _data.check_not_finite(list(tensors_of(batch)), _reached(one))


def _reached(one: ForwardPass) -> list[float]:
    """Return what gaps in a batch may have reached: its loss and the size of its gradients."""
    loss = float("nan") if one.loss is None else float(one.loss.detach().sum())
    return [loss, *(float(gradient.abs().sum()) for gradient in one.gradients.values() if not gradient.is_sparse)]


def _leaks(look: Look) -> Iterator[Finding]:
    target = first_tensor(look.first.targets)
    inputs, targets = look.train.inputs(), look.train.targets()
    if look.reads_targets and inputs.is_floating_point() and targets.numel() == len(targets) == len(inputs):
        yield _leaks_checks.check_target_among_inputs(inputs, targets, table=_is_table(look, inputs))
    if isinstance(look.train_batches, list | tuple):
        after = (look.first.inputs, look.first.targets)
        whole = zip(look.train.batches[0], after, strict=True)  # inputs and targets, which may differ in length
        before = tuple(rows(one, slice(0, size_of(cut))) for one, cut in whole)
        before = map_tensors(lambda tensor: tensor.to(target.device), before) if target is not None else before
        yield _leaks_checks.check_inputs_modified(list(tensors_of(before)), list(tensors_of(after)))


def _label_numbering(look: Look) -> Finding | None:
    if look.val is None or not look.train.labels or not look.val.labels or not look.reads_targets:
        return None
    if not look.train.inputs().is_floating_point():
        return None
    if compares_labels(look.loss_fn, look.first.output, look.first.targets):
        return None
    halves = [(half.inputs(), half.targets()) for half in (look.train, look.val)]
    if any(len(x) != len(y) for x, y in halves) or halves[0][0].shape[1:] != halves[1][0].shape[1:]:
        return None
    return _leaks_checks.check_label_numbering(*halves[0], *halves[1])


def _constant_inputs(look: Look) -> Finding:
    """Judge a table by its columns; tokens of which one embedding gets all may begin and end alike.

    Where all of the first input are equal, those beside it are looked at as well.
    """
    inputs = look.train.inputs()
    given = look.first.inputs
    tokens = isinstance(given, Tensor) and not given.is_floating_point() and given.dim() == 2
    tokens = tokens and any(torch.equal(one, given) for one in looked_up(look).values())
    judged = inputs.unsqueeze(-1) if tokens else inputs
    finding = _data.check_constant_inputs(judged)
    return _data.check_constant_inputs(judged, others=_beside(look.train)) if finding.trouble else finding


def _beside(half: Half) -> list[Tensor]:
    """Return the hashes (M,) of the rows of every input beside the first."""
    places = zip(*(list(tensors_of(inputs))[1:] for inputs, _ in half.batches), strict=False)
    return [torch.cat([row_keys(one if one.dim() else one[None]) for one in place]) for place in places]


def _input_scale(look: Look) -> Finding | None:
    for module, inputs in look.first.first_input.items():
        if isinstance(module, _NORMS):
            return None
        if isinstance(module, MATRICES):
            return _data.check_input_scale(inputs) if inputs.dim() > 1 else None
    return None


def _target_scale(look: Look) -> Iterator[Finding]:
    for place, output, target in pairs(look.first.output, look.first.targets):
        if target.numel() == output.numel() and target.is_floating_point() and aims_at(look, place, target):
            given = target.flatten().isfinite()
            fresh, wanted = output.detach().flatten()[given], target.flatten()[given]
            if len(wanted) > 1 and not lies_among(fresh, wanted):
                yield check_target_scale(fresh, wanted)


def _labels(look: Look) -> Iterator[Finding]:
    if not look.reads_targets:
        return
    if look.train.labels and not compares_labels(look.loss_fn, look.first.output, look.first.targets):
        yield _data.check_sorted_labels(look.train.labels)
    for place, output, target in pairs(look.first.output, look.first.targets):
        if _losses.is_classes(output, target) and indexed(look, place, output):
            counted = target.masked_fill(unread(look, place, output, target), -100)
            yield _data.check_labels_out_of_range(counted, output.shape[1], look.intent.n_classes)
            if place is None and look.train.labels:
                whole = torch.cat(look.train.labels)
                yield _labels_checks.check_wrapped_labels(whole, look.intent.n_classes or output.shape[1])
                if look.train.inputs().is_floating_point() and len(whole) >= len(look.train.keys):
                    yield _labels_checks.check_contradictory_labels(look.train.keys, whole[: len(look.train.keys)])


def _are_places(half: Half) -> bool:
    """Tell whether all batches have the same targets, as where they say which text belongs to which picture."""
    targets = [target for _, target in half.batches if isinstance(target, Tensor)]
    return len(targets) > 1 and all(torch.equal(one, targets[0][: len(one)]) for one in targets)


def _ignored_labels(look: Look) -> Tensor:
    """Return the labels outside the classes that the loss leaves out, as it does -100."""
    ignored = [torch.tensor([-100])]
    for place, output, target in pairs(look.first.output, look.first.targets):
        if _losses.is_classes(output, target):
            ignored.append(target[unread(look, place, output, target)].cpu())
    return torch.cat(ignored)


def _with_label(inputs: Tensor, labels: Tensor, ignored: Tensor) -> tuple[Tensor, Tensor]:
    """Return the examples that have a label; all, where targets are no class indices (N,)."""
    if labels.is_floating_point() or labels.dim() != 1 or len(labels) != len(inputs):
        return inputs, labels
    kept = ~torch.isin(labels, ignored.to(labels.device))
    return inputs[kept], labels[kept]


def _labels_independent(look: Look) -> Finding | None:
    if look.val is None or not look.reads_targets or _are_places(look.train):
        return None
    halves = [_with_label(half.inputs(), half.targets(), _ignored_labels(look)) for half in (look.train, look.val)]
    (inputs, labels), (val_inputs, val_labels) = halves
    fits = all(x.is_floating_point() and len(x) == len(y) and y.numel() == len(y) and len(y) > 1 for x, y in halves)
    if not fits or not all(bool(y.isfinite().all()) for _, y in halves):
        return None
    table = _is_table(look, inputs)
    return check_labels_independent(inputs, labels.flatten(), val_inputs, val_labels.flatten(), table=table)


def _is_table(look: Look, inputs: Tensor) -> bool:
    """Tell whether inputs are a table (N, F), whose columns are all that a target can depend on."""
    alone = all(isinstance(one, Tensor) for one in (look.first.inputs, look.first.targets))
    return alone and inputs.dim() == 2 and inputs.shape[1] <= _MOST_COLUMNS


def _loader(look: Look) -> Iterator[Finding]:
    loader = look.train_batches
    if _loaders.shuffles(loader):
        second = order_of(loader, len(look.train.keys))
        yield _loaders.check_fixed_order(look.train.keys[: len(second)], second, shuffled=True)
    yield from _sampler_weights(look)
    if look.intent.augmented and isinstance(loader, DataLoader) and type(loader).__iter__ is DataLoader.__iter__:
        yield _augmentation_without_effect(loader.dataset, _loaders.collate_of(loader))


def _augmentation_without_effect(dataset: Any, collate: _loaders.Collate) -> Finding:
    """Judge a few examples, and more where these do not vary: some augmentation is rare."""
    for n in (8, 64):
        chosen = range(min(n, len(dataset)))
        finding = _loaders.check_augmentation_without_effect(dataset, chosen, collate_fn=collate)
        if not finding.trouble:
            break
    return finding


def _sampler_weights(look: Look) -> Iterator[Finding]:
    sampler = _loaders.weighted_sampler(look.train_batches)
    if sampler is not None:
        compared = pairs(look.first.output, look.first.targets)
        n_outputs = next((out.shape[1] for _, out, target in compared if _losses.is_classes(out, target)), None)
        n_classes = look.intent.n_classes or n_outputs
        n_examples = len(look.train_batches.dataset)  # type: ignore[attr-defined]
        yield _loaders.check_sampler_weights(len(sampler.weights), n_examples, sampler.num_samples, n_classes)


def _workers(look: Look) -> Finding | None:
    """Play the workers of a loader; those that an IterDataPipe is dealt to share it by themselves."""
    loader = look.train_batches
    n_workers = _loaders.workers_of(loader)
    if not isinstance(loader, DataLoader) or n_workers < 1 or isinstance(loader.dataset, IterDataPipe):
        return None
    if isinstance(loader.dataset, IterableDataset):
        stream, init_fn = loader.dataset, loader.worker_init_fn
        return check_worker_shards(stream, init_fn=init_fn, n_workers=n_workers) if n_workers > 1 else None
    return check_worker_randomness(
        loader.dataset,
        init_fn=loader.worker_init_fn,
        collate_fn=_loaders.collate_of(loader),
        n_workers=n_workers,
        restarted=not loader.persistent_workers,
    )


# optimizer


def _ownership_of(look: Look) -> Iterator[Finding]:
    yield _ownership.check_optimizer_settings(look.optimizers)
    yield _ownership.check_weight_decay(look.optimizers)
    yield _ownership.check_nothing_trainable(look.model, look.optimizers)
    if look.first.loss is None or not look.first.loss.requires_grad:
        return
    names, reached, frozen = look.names, look.reached, look.intent.frozen
    used = {key for one in look.passes for key in used_parameters(one)}
    own = look.loss_fn.named_parameters(recurse=False) if isinstance(look.loss_fn, nn.Module) else ()
    of_loss = {id(parameter): f"the loss's {name}" for name, parameter in own}  # layers in it may only compare features
    yield _ownership.check_unowned_parameters(of_loss | names, reached, look.optimizers, frozen)
    yield _ownership.check_orphaned_parameters(names, reached, look.optimizers)
    yield _ownership.check_graph_cut(names, reached, look.optimizers, used)
    yield _ownership.check_unused_parameters(names, reached, look.optimizers, used, frozen)
    if len(look.passes) > 1:
        leaves, later = look.passes[0].leaves, look.passes[1].leaves
        yield _ownership.check_parameters_made_in_forward(leaves, later, names, look.optimizers)
    mine = _ownership.owned(look.optimizers)
    yield _networks.check_hidden_parameters(look.model, [leaf for leaf in reached if id(leaf) not in mine])


def _frozen(look: Look) -> Finding | None:
    if not look.intent.frozen:
        return None
    return _ownership.check_frozen_parameters_move(look.model, look.optimizers, look.intent.frozen)


def _first_steps(look: Look) -> Iterator[Finding]:
    """Take two steps on one batch with a copy of the optimizer; comes late, as it changes weights."""
    output, targets = look.first.output, look.first.targets
    if len(look.optimizers) != 1 or isinstance(look.optimizers[0], torch.optim.LBFGS):
        return
    losses, ratios = _steps_on(look)
    threshold = 0.3
    if isinstance(output, Tensor) and isinstance(targets, Tensor) and len(output) == len(targets):
        yield _losses.check_summed_loss(look.loss_fn, output.detach(), targets, max(ratios), threshold)
    yield _steps.check_diverging_steps(losses)


def _steps_on(look: Look, n_steps: int = 2) -> tuple[list[float], list[float]]:
    """Return the losses before each of some steps and after the last, and the lengths of updates over weights.

    All are on the first batch, whose gradients are known before the first step.
    """
    optimizer = copy.copy(look.optimizers[0])  # which leaves hooks and schedulers behind
    optimizer.param_groups = [dict(group) for group in optimizer.param_groups]
    optimizer.state = copy.copy(optimizer.state)
    optimizer.state.clear()
    matrices = [p for p in look.model.parameters() if p.dim() > 1 and p.requires_grad]
    losses, ratios, one = [], [], look.first
    for name, parameter in look.model.named_parameters():
        parameter.grad = one.gradients.get(name)
    for number in range(n_steps):
        if number:
            torch.default_generator.manual_seed(0)  # the same dropout in every step
            one = forward_backward(look.model, one.inputs, one.targets, look.loss_fn)
        losses.append(float("nan") if one.loss is None else float(one.loss.detach().sum()))
        before = [parameter.detach().clone() for parameter in matrices]
        type(optimizer).step(optimizer)
        changes = [(p.detach() - old).norm() / _length(old) for p, old in zip(matrices, before, strict=True)]
        ratios.append(float(torch.stack(changes).median()) if changes else 0.0)
    look.model.train()
    torch.default_generator.manual_seed(0)
    with torch.no_grad():
        last = look.loss_fn(call(look.model, one.inputs), one.targets)
    return [*losses, float(last.sum())], ratios


def _length(matrix: Tensor) -> float:
    """Return the norm of a matrix, or that of usual weights where it starts nearer to 0 and has to leave it."""
    usual: float = (len(matrix) / 3) ** 0.5  # of torch's own: entries of variance 1 / (3 fan-in)
    return max(float(matrix.norm()), usual)


PROBES: tuple[Probe, ...] = (
    modes_not_switched,
    *(
        _not_finite,
        _leaks,
        _label_numbering,
        *SPLIT_PROBES,
        _constant_inputs,
        _input_scale,
        _target_scale,
        _labels,
    ),
    *(_labels_independent, _loader, _workers, target_lag, taught_lag, padding, behind_lengths, future_leak, directions),
    *MODEL_PROBES,
    *(
        *INPUT_PROBES,
        *EDGE_PROBES,
        *MATCHING_PROBES,
        *LOSS_PROBES,
        transposed_targets,
        _ownership_of,
        _frozen,
        log_determinant,
        _first_steps,
        units_without_gradient,
        log_determinant,
    ),
)
