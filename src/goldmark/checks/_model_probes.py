"""The probes of a preflight that concern the model: its modes, what it shares, and what its layers and units do."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from goldmark.case import Finding
from goldmark.checks import _loaders, _modes, _networks
from goldmark.checks._attention import check_softmax_over_heads
from goldmark.checks._graph import kind, source
from goldmark.checks._preflight import Look, Probe
from goldmark.checks._saturation import trained_layers
from goldmark.checks._start import (
    drawn,
    ends_and_middle,
    opened,
    other_weights,
    outputs_with,
    saturated_units,
    with_weights,
)
from goldmark.checks._structures import first_tensor, size_of
from goldmark.checks._summing import check_summed_softmax
from goldmark.checks._width_probes import width

MATRICES = (nn.Linear, nn.modules.conv._ConvNd, nn.RNNBase, nn.Bilinear)  # noqa: SLF001
_DEEP = 4  # sigmoids behind each other, each of which passes on a quarter of a gradient at most


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
    weights = [module.weight for module in look.first.calls if isinstance(module, MATRICES[:2])]
    if size_of(look.first.inputs) < 4 or (weights and not bool(weights[-1].any())):
        return None
    inputs = first_tensor(look.first.inputs)
    if inputs is None or bool((inputs == inputs[:1]).all()):
        return None
    first = next((x for module, x in look.first.first_input.items() if isinstance(module, MATRICES)), inputs)
    heard = not _networks.check_vanishing_gradient(sizes := _gradient_sizes(look)).trouble and min(sizes, default=0) > 0
    if heard and first is not inputs and len(first) == len(inputs) and not bool((first == first[:1]).all()):
        return None
    finding = _networks.check_inputs_ignored(look.first.first_output)
    return _networks.check_inputs_ignored(outputs_with(look, opened)) if finding.trouble else finding


def _affine_network(look: Look) -> Finding | None:
    inputs, first_output = look.first.inputs, look.first.first_output
    order = [module for module in look.first.calls if isinstance(module, MATRICES[:2])]
    if any(look.first.calls[layer] > 1 for layer in order):
        return None  # a linear recurrence is no single layer
    if not isinstance(inputs, Tensor) or not inputs.is_floating_point() or len(inputs) < 4 or len(order) < 2:
        return None
    ends = [_channels(layer) for layer in order]
    chained = all(after[0] % before[1] == 0 for before, after in pairwise(ends))  # a layer may get flattened maps
    sizes = [tensor[0].numel() for tensor in (*(look.first.first_input[layer] for layer in order), first_output)]
    widths = list(pairwise(sizes))
    hidden = _networks.inner_bottleneck(widths) if chained else 0
    finding = _networks.check_affine_network(_before_activation(look, inputs), hidden)
    if not finding.trouble:
        return finding
    with other_weights(look.model, drawn):
        return _networks.check_affine_network(_before_activation(look, inputs), hidden)


def _before_activation(look: Look, inputs: Tensor) -> dict[str, Tensor]:
    """Return what `ends_and_middle` does, without the sigmoid or softmax that outputs may end in."""
    last = source(look.first.first_output.grad_fn)
    undo = _networks.UNDONE.get("" if last is None else kind(last), Tensor.double)
    return {name: undo(output) for name, output in ends_and_middle(look, inputs).items()}


def _softmaxes(look: Look) -> Iterator[Finding]:
    if look.first.loss is not None:
        yield check_softmax_over_heads(look.first.loss)
        yield check_summed_softmax(look.first.loss)


def _channels(layer: Any) -> tuple[int, int]:
    """Return how many features or channels a layer takes, and how many it gives."""
    if isinstance(layer, nn.Linear):
        return layer.in_features, layer.out_features
    return layer.in_channels, layer.out_channels


MODEL_PROBES: tuple[Probe, ...] = (
    *(_batch_mixing, _modes_of, _sharing, _units),
    *(saturated_units, _inputs_ignored, _affine_network, width, _softmaxes),
)
