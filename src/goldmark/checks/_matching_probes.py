"""The probes of a preflight that concern which output a target is compared with: by shape, example and position."""

from __future__ import annotations

import torch
from torch import Tensor

from goldmark.case import Finding
from goldmark.checks import _examples, _outputs
from goldmark.checks._broadcasting import check_broadcast_steps
from goldmark.checks._preflight import Look, Probe
from goldmark.checks._structures import UNFIT, call, first_tensor, rows, size_of


def _broadcast(look: Look) -> Finding | None:
    output, targets = look.first.output, look.first.targets
    if not isinstance(output, Tensor) or not isinstance(targets, Tensor) or _outputs.aligned(output, targets):
        return None
    if output.numel() == targets.numel() and _same_in_one_shape(look, output.detach(), targets):
        return None
    return _outputs.check_broadcast_loss(look.loss_fn, output, targets)


def _same_in_one_shape(look: Look, output: Tensor, targets: Tensor) -> bool:
    """Tell whether a loss of outputs in the shape of the targets is the same: then nothing broadcasts in it.

    A critic's loss, which takes outputs of two kinds apart by a mask, depends on all targets by their counts. One that
    picks the column of outputs (B, 1) by an index has seen to their shape itself.
    """
    try:
        values = [float(look.loss_fn(one, targets).double().sum()) for one in (output, output.reshape(targets.shape))]
    except IndexError:
        return True
    except UNFIT:
        return False
    return abs(values[0] - values[1]) <= 1e-5 * abs(values[0])


def _broadcast_steps(look: Look) -> Finding | None:
    """Judge outputs along the sequences that they are made of: (B, T, F), (T, B, F) or tokens (B, T)."""
    output, targets, inputs = look.first.output, look.first.targets, first_tensor(look.first.inputs)
    if not isinstance(output, Tensor) or not isinstance(targets, Tensor) or inputs is None:
        return None
    sequences = inputs.dim() == 3 or (inputs.dim() == 2 and not inputs.is_floating_point())
    along = sequences and output.dim() > 1 and output.shape[:2] == inputs.shape[:2]
    return check_broadcast_steps(look.loss_fn, output, targets) if along else None


def _alignment(look: Look) -> Finding | None:
    """Give one example the target of another, then its inputs, and see which outputs each of them concerns."""
    inputs, targets = look.first.inputs, look.first.targets
    if not isinstance(look.first.output, Tensor) or not isinstance(targets, Tensor) or not look.reads_targets:
        return None
    if targets.dim() == 0 or len(targets) != size_of(inputs) or len(targets) < 4:
        return None
    inputs, targets = rows(inputs, slice(0, 8)), targets[:8]
    unlike = [k for k in range(1, len(targets)) if not torch.equal(targets[k], targets[0])]
    if not unlike:
        return None
    order = torch.arange(len(targets))
    order[0] = unlike[0]
    look.model.eval()
    with torch.no_grad():
        plain, again, changed = (call(look.model, one) for one in (inputs, inputs, rows(inputs, order)))
    if not isinstance(plain, Tensor) or not torch.equal(plain, again):
        return None
    before, after = (_outputs.gradient_at(look.loss_fn, plain, one) for one in (targets, targets[order]))
    return _outputs.check_misaligned_targets(plain, changed, before, after)


def _one_example_read(look: Look) -> Finding | None:
    """Deal examples and targets to other places, and see which of them the loss reads."""
    inputs, output, targets = look.first.inputs, look.first.output, look.first.targets
    n = size_of(inputs)
    if not isinstance(output, Tensor) or output.dim() == 0 or n < _examples.FEWEST_EXAMPLES:
        return None
    if len(output) != n or size_of(targets) != n:
        return None
    places: list[int | None] = []
    for shift in range(8):
        order = torch.arange(n).roll(shift)
        gradient = _outputs.gradient_at(look.loss_fn, output[order], rows(targets, order))
        places.append(_examples.lone_gradient(gradient))
        if places[-1] is None:
            break
    finding = _examples.check_one_example_read(n, places)
    return finding if finding.trouble and _are_examples(look, order) else None


def _are_examples(look: Look, order: Tensor) -> bool:
    """Tell whether outputs go where their inputs go: then the first dimension is no time, and its rows no graph."""
    look.model.eval()
    with torch.no_grad():
        plain, dealt = (call(look.model, one) for one in (look.first.inputs, rows(look.first.inputs, order)))
    slack = 1e-4 * (float(plain.abs().max()) + 1e-12)
    return bool(torch.allclose(plain[order], dealt, rtol=1e-3, atol=slack))


def _scattered_targets(look: Look) -> Finding | None:
    """Change the targets of some positions, one at a time."""
    output, targets = look.first.output, look.first.targets
    if not isinstance(output, Tensor) or not isinstance(targets, Tensor):
        return None
    dimensions = _examples.class_dimensions(output, targets)
    if not dimensions:
        return None
    fewer = slice(0, 4) if len(output) == len(targets) else slice(None)
    output, targets = output.detach()[fewer], targets[fewer]
    return _examples.check_scattered_targets(
        lambda changed: _outputs.gradient_at(look.loss_fn, output, changed), targets, dimensions
    )


MATCHING_PROBES: tuple[Probe, ...] = (_broadcast, _broadcast_steps, _alignment, _one_example_read, _scattered_targets)
