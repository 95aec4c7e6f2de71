"""The probes of a preflight that concern how a model reads its inputs: as tokens, positions, images or in a mode."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from goldmark.case import Finding
from goldmark.checks import _categories, _labels, _layout, _modes, _padding, _positions
from goldmark.checks._loss_probes import aims_at
from goldmark.checks._pairs import pairs
from goldmark.checks._preflight import Look, Probe
from goldmark.checks._scrambled import Viewing, Views
from goldmark.checks._structures import UNFIT, call, first_tensor, map_tensors, size_of, tensors_of

_CONVOLUTIONS = (nn.Conv2d,)
_TABLED = (nn.Linear, nn.modules.conv._ConvNd, nn.RNNBase, nn.MultiheadAttention, nn.Embedding)  # noqa: SLF001
_FEWEST_POSITIONS, _CUT = 4, 2


def _classes_as_numbers(look: Look) -> Iterator[Finding]:
    if look.intent.n_classes is None or look.intent.n_classes < 3:
        return
    for place, output, target in pairs(look.first.output, look.first.targets):
        if output.numel() == len(output) == target.numel() and aims_at(look, place, target):
            yield _labels.check_classes_as_numbers(target, look.intent.n_classes)


def _padding_idx(look: Look) -> Iterator[Finding]:
    if look.intent.pad_id is None or not any(layer.padding_idx is not None for layer in _embeddings(look)):
        return
    inputs = [one for one in tensors_of(look.first.inputs) if not one.is_floating_point()]
    for layer, given in looked_up(look).items():
        if any(one.shape == given.shape and torch.equal(one, given) for one in inputs):
            yield _padding.check_padding_idx(given, layer.padding_idx, look.intent.pad_id)


def _truncated_codes(look: Look) -> Finding | None:
    if not _embeddings(look):
        return None
    parts = [looked_up(look, place) for place in range(len(look.passes))]
    every = {layer: torch.cat([one[layer].flatten() for one in parts if layer in one]) for layer in parts[0]}
    return _categories.check_truncated_codes([(layer.num_embeddings, codes) for layer, codes in every.items()])


def _embeddings(look: Look) -> list[nn.Embedding]:
    return [module for module in look.first.calls if isinstance(module, nn.Embedding)]


def looked_up(look: Look, place: int = 0) -> dict[nn.Embedding, Tensor]:
    """Return the indices that each embedding is given for the inputs of one of the passes, in eval mode."""
    given: dict[nn.Embedding, Tensor] = {}

    def note(module: Any, inputs: Any, output: Any) -> None:
        given.setdefault(module, inputs[0].detach().clone())

    handles = [layer.register_forward_hook(note) for layer in _embeddings(look)]
    try:
        look.model.eval()
        with torch.no_grad():
            call(look.model, look.passes[place].inputs)
    finally:
        for handle in handles:
            handle.remove()
    return given


def _views(look: Look) -> Iterator[Finding]:
    """Judge the channels of images, and if these are right the views of the first pass.

    What may put neighbours together must not for a sequence without its end, too.
    """
    inputs = first_tensor(look.first.inputs)
    given = next((x for module, x in look.first.first_input.items() if isinstance(module, _CONVOLUTIONS)), None)
    if inputs is not None and given is not None:
        channels = [_layout.check_interleaved_channels(inputs), _layout.check_viewed_channels(inputs, given)]
        yield from channels
        if any(one.trouble for one in channels):
            return
    findings = list(look.first.views.findings())
    if findings and not any(one.trouble for one in findings) and inputs is not None and inputs.dim() > 1:
        shorter = map_tensors(partial(_cut, length=inputs.shape[1], steps=1), look.first.inputs)
        findings = list(_views_of(look, shorter).findings())
    yield from findings


def _views_of(look: Look, inputs: Any) -> Views:
    """Return the scrambled views of the model in eval mode; none where it does not take the inputs."""
    views = Views(n_examples=size_of(inputs))
    look.model.eval()
    try:
        with torch.no_grad(), Viewing(views):
            views.note_outputs(call(look.model, inputs))
    except UNFIT:
        views.scrambled.clear()
    return views


def modes_not_switched(look: Look) -> Finding:
    """Judge train() before anything has called eval(), which it may not undo."""
    return _modes.check_modes_not_switched(look.model)


def _one_position(look: Look) -> Iterator[Finding]:
    """See which rows of tables of positions an output depends on, for sequences (B, T, ...) and for shorter ones.

    A table of which several rows are read tells positions; beside it one row may stand for the length.
    """
    inputs = first_tensor(look.first.inputs)
    if inputs is None or inputs.dim() not in (2, 3) or inputs.shape[1] < _FEWEST_POSITIONS:
        return
    tables, length = _tables(look.model, inputs.shape[1]), inputs.shape[1]
    if not tables or any(_are_positions(given, length) for given in looked_up(look).values()):
        return
    whole = _rows_read(look.model, look.first.inputs, tables)
    if any(len(rows) > 1 for rows in whole) or not any(len(rows) == 1 for rows in whole):
        return
    cut = map_tensors(lambda one: _cut(one, length), look.first.inputs)
    for rows, shorter in zip(whole, _rows_read(look.model, cut, tables), strict=True):
        yield _positions.check_one_position(rows, shorter, length)


def _are_positions(indices: Tensor, length: int) -> bool:
    """Tell whether indices are the same in all sequences and unlike in each."""
    one = indices.reshape(-1, length)[0] if indices.numel() and indices.shape[-1] == length else indices[:0]
    return one.numel() > 1 and len(set(one.flatten().tolist())) == length and bool((indices == one).all())


def _tables(model: nn.Module, length: int) -> list[Tensor]:
    """Return the tables (L, D) of at least `length` unlike rows that modules hold as buffers or parameters."""
    kept = [m for m in model.modules() if not isinstance(m, _TABLED)]
    tensors = [one for m in kept for one in (*m.buffers(recurse=False), *m.parameters(recurse=False))]
    shaped = [one for one in tensors if one.is_leaf and one.is_floating_point() and one.squeeze().dim() == 2]
    long = [one for one in shaped if len(one.squeeze()) > length]
    return [one for one in long if not bool((one.squeeze()[0] == one.squeeze()[1]).all())]


def _cut(tensor: Tensor, length: int, steps: int = _CUT) -> Tensor:
    return tensor[:, :-steps] if tensor.dim() > 1 and tensor.shape[1] == length else tensor


def _rows_read(model: nn.Module, inputs: Any, tables: list[Tensor]) -> list[list[int]]:
    """Return which rows of each table the outputs for some inputs depend on."""
    known = [table.requires_grad for table in tables]
    model.eval()
    try:
        for table in tables:
            table.requires_grad_()
        outputs = [one for one in tensors_of(call(model, inputs)) if one.requires_grad]
        weighted = [(output * torch.randn_like(output)).sum() for output in outputs[:1]]
        gradients = torch.autograd.grad(weighted, tables, allow_unused=True) if weighted else [None] * len(tables)
    finally:
        for table, before in zip(tables, known, strict=True):
            table.requires_grad_(before)
    return [[] if one is None else one.squeeze().any(dim=1).nonzero().flatten().tolist() for one in gradients]


INPUT_PROBES: tuple[Probe, ...] = (_padding_idx, _truncated_codes, _views, _one_position, _classes_as_numbers)
