"""The probes of a preflight: each puts one check to a look at a program, or returns None where it does not apply."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, IterableDataset, IterDataPipe

from goldmark.case import Finding
from goldmark.checks import _data, _loaders, _losses, _modes, _networks, _ownership, _steps
from goldmark.checks import _leaks as _leaks_checks
from goldmark.checks._independence import check_labels_independent
from goldmark.checks._input_probes import INPUT_PROBES, looked_up, modes_not_switched
from goldmark.checks._loss_probes import LOSS_PROBES, aims_at, indexed, unread
from goldmark.checks._pairs import compares_labels, pairs
from goldmark.checks._passes import ForwardPass, Half, forward_backward, order_of, used_parameters
from goldmark.checks._preflight import Look, Probe
from goldmark.checks._saturation import trained_layers
from goldmark.checks._scale import check_target_scale, lies_among
from goldmark.checks._sequence_probes import directions, future_leak, padding, target_lag
from goldmark.checks._split_probes import SPLIT_PROBES
from goldmark.checks._start import (
    drawn,
    ends_and_middle,
    opened,
    other_weights,
    outputs_with,
    saturated_units,
    units_without_gradient,
    with_weights,
)
from goldmark.checks._structures import call, first_tensor, map_tensors, rows, size_of, tensors_of
from goldmark.checks._width_probes import width
from goldmark.checks._workers import check_worker_randomness, check_worker_shards

_NORMS = (nn.modules.batchnorm._NormBase, nn.LayerNorm, nn.GroupNorm)  # noqa: SLF001
_MATRICES = (nn.Linear, nn.modules.conv._ConvNd, nn.RNNBase, nn.Bilinear)  # noqa: SLF001
_DEEP = 4  # sigmoids behind each other, each of which passes on a quarter of a gradient at most


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
    tensors = list(tensors_of(look.first.inputs))
    target = first_tensor(look.first.targets)
    if target is not None and tensors:
        yield _leaks_checks.check_decoder_sees_target(tensors, target)
    inputs, targets = look.train.inputs(), look.train.targets()
    if look.reads_targets and inputs.is_floating_point() and targets.numel() == len(targets) == len(inputs):
        yield _leaks_checks.check_target_among_inputs(inputs, targets)
    if isinstance(look.train_batches, list | tuple):
        after = (look.first.inputs, look.first.targets)
        before = tuple(rows(one, slice(0, size_of(after[0]))) for one in look.train.batches[0])
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
    """Judge a table by its columns; tokens of which one embedding gets all may begin and end alike."""
    inputs = look.train.inputs()
    given = look.first.inputs
    tokens = isinstance(given, Tensor) and not given.is_floating_point() and given.dim() == 2
    tokens = tokens and any(torch.equal(one, given) for one in looked_up(look).values())
    return _data.check_constant_inputs(inputs.unsqueeze(-1) if tokens else inputs)


def _input_scale(look: Look) -> Finding | None:
    for module, inputs in look.first.first_input.items():
        if isinstance(module, _NORMS):
            return None
        if isinstance(module, _MATRICES):
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
    alone = all(isinstance(one, Tensor) for one in (look.first.inputs, look.first.targets))
    table = alone and inputs.dim() == 2 and inputs.shape[1] <= 64
    return check_labels_independent(inputs, labels.flatten(), val_inputs, val_labels.flatten(), table=table)


def _loader(look: Look) -> Iterator[Finding]:
    loader = look.train_batches
    if _loaders.shuffles(loader):
        second = order_of(loader, len(look.train.keys))
        yield _loaders.check_fixed_order(look.train.keys[: len(second)], second, shuffled=True)
    yield from _sampler_weights(look)
    if look.intent.augmented and isinstance(loader, DataLoader) and type(loader).__iter__ is DataLoader.__iter__:
        dataset: Any = loader.dataset
        chosen, collate = range(min(8, len(dataset))), _loaders.collate_of(loader)
        yield _loaders.check_augmentation_without_effect(dataset, chosen, collate_fn=collate)


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
        ordered=not _loaders.shuffles(loader) and not loader.persistent_workers,
    )


# model


def _modes_of(look: Look) -> Iterator[Finding]:
    yield _modes.check_dropout_in_eval(look.model, look.first.inputs)
    yield _modes.check_dropout_rate(look.model)
    look.model.train()
    yield _modes.check_batchnorm_of_one(look.model, [size_of(inputs) for inputs, _ in look.train.batches])
    yield _modes.check_batchnorm_momentum(look.model, len(look.train.batches))


def _batch_mixing(look: Look) -> Finding | None:
    inputs, targets = first_tensor(look.first.inputs), first_tensor(look.first.targets)
    if inputs is None or targets is None or size_of(inputs) < 4 or targets.dim() == 0 or len(inputs) != len(targets):
        return None
    look.model.eval()
    with torch.no_grad():
        return _modes.check_batch_mixing(look.model, look.first.inputs, both_halves=not _may_be_series(look, inputs))


def _may_be_series(look: Look, inputs: Tensor) -> bool:
    """Tell whether the rows of a batch may follow each other in time: not where they were shuffled into a batch.

    Otherwise a recurrent layer tells, which gets several sequences or one, and rows that are sequences themselves.
    """
    if _loaders.draws_examples(look.train_batches, len(inputs)):
        return False
    recurrent = [(m, x) for m, x in look.first.first_input.items() if isinstance(m, nn.RNNBase | nn.RNNCellBase)]
    several = [x.dim() == 3 and x.shape[0 if getattr(m, "batch_first", True) else 1] > 1 for m, x in recurrent]
    sequences = inputs.dim() == (3 if inputs.is_floating_point() else 2)
    return not all(several) if recurrent else not sequences


def _sharing(look: Look) -> Iterator[Finding]:
    if look.intent.tied:
        yield _networks.check_missing_sharing(look.model, look.intent.tied)
    yield _networks.check_undeclared_sharing(look.model, look.first.calls, look.intent.tied)
    yield _networks.check_half_tied(look.model)


def _units(look: Look) -> Iterator[Finding]:
    gradients = with_weights(look.model, look.first)
    yield _networks.check_symmetric_units({name: pair for name, pair in gradients.items() if bool(pair[1].any())})
    yield _networks.check_dead_units(look.first.activations)
    sigmoids = [one for one in trained_layers(look.first.bounded.hidden) if one.function == "sigmoid"]
    threshold = 1e-3 if len(sigmoids) >= _DEEP else 1e-5
    yield _networks.check_vanishing_gradient(_gradient_sizes(look), threshold)


def _gradient_sizes(look: Look) -> list[float]:
    """Return the largest entry of each matrix's gradient, in the order of the layers."""
    weights = [getattr(module, "weight", None) for module in look.first.calls]
    received = [look.gradient_of(w) for w in weights if isinstance(w, Tensor) and w.dim() > 1]
    return [float(gradient.abs().max()) for gradient in received if gradient is not None and not gradient.is_sparse]


def _inputs_ignored(look: Look) -> Finding | None:
    """Judge a model whose last layer is not all zero, as some are meant to start.

    Where inputs vary in the first layer and its gradient arrives, a code in between is discrete: that passes.
    """
    weights = [module.weight for module in look.first.calls if isinstance(module, _MATRICES[:2])]
    if size_of(look.first.inputs) < 4 or (weights and not bool(weights[-1].any())):
        return None
    inputs = first_tensor(look.first.inputs)
    if inputs is None or bool((inputs == inputs[:1]).all()):
        return None
    first = next((x for module, x in look.first.first_input.items() if isinstance(module, _MATRICES)), inputs)
    heard = not _networks.check_vanishing_gradient(sizes := _gradient_sizes(look)).trouble and min(sizes, default=0) > 0
    if heard and first is not inputs and len(first) == len(inputs) and not bool((first == first[:1]).all()):
        return None
    finding = _networks.check_inputs_ignored(look.first.first_output)
    return _networks.check_inputs_ignored(outputs_with(look, opened)) if finding.trouble else finding


def _affine_network(look: Look) -> Finding | None:
    inputs, first_output = look.first.inputs, look.first.first_output
    order = [module for module in look.first.calls if isinstance(module, _MATRICES[:2])]
    if any(look.first.calls[layer] > 1 for layer in order):
        return None  # a linear recurrence is no single layer
    if not isinstance(inputs, Tensor) or not inputs.is_floating_point() or len(inputs) < 4 or len(order) < 2:
        return None
    ends = [_channels(layer) for layer in order]
    chained = all(after[0] % before[1] == 0 for before, after in pairwise(ends))  # a layer may get flattened maps
    sizes = [tensor[0].numel() for tensor in (*(look.first.first_input[layer] for layer in order), first_output)]
    widths = list(pairwise(sizes))
    hidden = _networks.inner_bottleneck(widths) if chained else 0
    finding = _networks.check_affine_network(ends_and_middle(look, inputs), hidden)
    if not finding.trouble:
        return finding
    with other_weights(look.model, drawn):
        return _networks.check_affine_network(ends_and_middle(look, inputs), hidden)


def _channels(layer: Any) -> tuple[int, int]:
    """Return how many features or channels a layer takes, and how many it gives."""
    if isinstance(layer, nn.Linear):
        return layer.in_features, layer.out_features
    return layer.in_channels, layer.out_channels


# optimizer


def _ownership_of(look: Look) -> Iterator[Finding]:
    yield _ownership.check_optimizer_settings(look.optimizers)
    yield _ownership.check_weight_decay(look.optimizers)
    yield _ownership.check_nothing_trainable(look.model, look.optimizers)
    if look.first.loss is None or not look.first.loss.requires_grad:
        return
    names, reached, frozen = look.names, look.reached, look.intent.frozen
    used = {key for one in look.passes for key in used_parameters(one)}
    yield _ownership.check_unowned_parameters(names, reached, look.optimizers, frozen)
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
        changes = [(p.detach() - old).norm() / (old.norm() + 1e-12) for p, old in zip(matrices, before, strict=True)]
        ratios.append(float(torch.stack(changes).median()) if changes else 0.0)
    look.model.train()
    torch.default_generator.manual_seed(0)
    with torch.no_grad():
        last = look.loss_fn(call(look.model, one.inputs), one.targets)
    return [*losses, float(last.sum())], ratios


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
    *(_labels_independent, _loader, _workers, target_lag, padding, future_leak, directions),
    *(_batch_mixing, _modes_of, _sharing),
    *(
        _units,
        saturated_units,
        _inputs_ignored,
        _affine_network,
        width,
        *INPUT_PROBES,
        *LOSS_PROBES,
        _ownership_of,
        _frozen,
        _first_steps,
        units_without_gradient,
    ),
)
