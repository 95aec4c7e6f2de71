"""The probe of a preflight that asks whether the last layers are wide enough for the targets."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from goldmark.case import Finding
from goldmark.checks._loss_probes import aims_at
from goldmark.checks._pairs import pairs
from goldmark.checks._passes import Half
from goldmark.checks._preflight import Look
from goldmark.checks._structures import first_tensor
from goldmark.checks._width import affine_tail, check_activation_rank, check_narrow_output, naive_r2

_WANTED = 0.9  # R^2 where the inputs say all about the targets
_MARGIN = 0.05  # by which a model without training must be better than what these weights can reach
_MOST_ROWS, _MOST_FEATURES = 1024, 256  # of a regression


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What an output should reach: an R^2 on some targets (N, D), by a code of few units where one may be meant."""

    tokens: Tensor
    r2: float
    may_have_code: bool


def width(look: Look) -> Iterator[Finding]:
    """Judge outputs that the loss compares with targets as they are, and that linear layers end in."""
    layers = {id(module.weight): module for module in look.first.calls if isinstance(module, nn.Linear)}
    names = {module: name for name, module in look.model.named_modules()}
    narrowest = min((min(layer.in_features, layer.out_features) for layer in layers.values()), default=0)
    for place, output, target in pairs(look.first.output, look.first.targets):
        tail = affine_tail(output, layers) if output.dim() > 1 else []
        narrow = any(layer.in_features < tail[0].out_features for layer in tail)
        fits = narrow and target.is_floating_point() and target.numel() == output.numel()
        wanted = wanted_of(look, target, tail[0].out_features) if fits and aims_at(look, place, target) else None
        if wanted is None:
            continue
        last, code = tail[0], narrowest if wanted.may_have_code else 0
        yield check_narrow_output(wanted.tokens, last.in_features, code, wanted.r2, names[last])
        if min((layer.in_features for layer in tail[1:]), default=last.in_features) < last.in_features:
            given = look.first.first_input[last].flatten(0, -2)
            yield check_activation_rank(given, wanted.tokens, wanted.r2, names[last])


def wanted_of(look: Look, target: Tensor, n_outputs: int) -> Wanted | None:
    """Return what an output should reach; None where nothing tells how much of the targets the inputs tell.

    Inputs that are the targets tell all, and so, it is taken, do ids. Of others a model without training must do
    better on validation rows than any weights can: then the layer is too narrow, and not the task too hard.
    """
    inputs, alone = first_tensor(look.first.inputs), first_tensor(look.first.targets) is target
    if inputs is None or not alone:
        return None
    if not inputs.is_floating_point() or (inputs.numel() == target.numel() and _equal(inputs, target)):
        return Wanted(tokens=_finite(look.train.targets().reshape(-1, n_outputs)), r2=_WANTED, may_have_code=True)
    halves = [look.train, look.val] if look.val is not None else [look.train]
    tables = [table for half in halves if (table := _table(half, n_outputs)) is not None]
    if len(tables) < len(halves):
        return None
    (x, y), (val_x, val_y) = tables if len(tables) == 2 else _split(*tables[0])
    if len(val_y) <= n_outputs or x.shape[1] > _MOST_FEATURES or x.shape[1] != val_x.shape[1]:
        return None
    reached = naive_r2(x[:_MOST_ROWS], y[:_MOST_ROWS], val_x[:_MOST_ROWS], val_y[:_MOST_ROWS])
    return Wanted(tokens=val_y[:_MOST_ROWS], r2=reached - _MARGIN, may_have_code=inputs.numel() == target.numel())


def _equal(inputs: Tensor, target: Tensor) -> bool:
    return bool(torch.equal(inputs.reshape(target.shape), target))


def _finite(tokens: Tensor) -> Tensor:
    return tokens[tokens.isfinite().all(dim=1)]


def _split(x: Tensor, y: Tensor) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """Return three quarters of some rows, and the last one."""
    place = 3 * len(x) // 4
    return (x[:place], y[:place]), (x[place:], y[place:])


def _table(half: Half, n_outputs: int) -> tuple[Tensor, Tensor] | None:
    """Return inputs (N, F) and targets (N, D) of a half, a row for each example or position; None where they differ."""
    x, y = half.inputs(), half.targets()
    if x.shape[:-1] == y.shape[:-1] and y.shape[-1] == n_outputs:
        x, y = x.flatten(0, -2), y.flatten(0, -2)
    elif len(x) == len(y) and y[:1].numel() == n_outputs:
        x, y = x.flatten(1), y.flatten(1)
    else:
        return None
    given = x.isfinite().all(dim=1) & y.isfinite().all(dim=1)
    return x[given], y[given]
