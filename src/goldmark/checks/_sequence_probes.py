"""The probes of a preflight that concern sequences: what an output sees, what padding changes, where targets lie."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from goldmark.case import Finding
from goldmark.checks import _sequences
from goldmark.checks._preflight import Look
from goldmark.checks._structures import call, first_tensor, map_tensors


def _forward(look: Look) -> Callable[[Tensor], Tensor]:
    """Return the model in eval mode as a function of its first input tensor, giving outputs (B, T, ...) if it can."""
    batch = look.first.inputs

    def forward(changed: Tensor) -> Tensor:
        look.model.eval()
        inputs = changed if isinstance(batch, Tensor) else _with_first(batch, changed)
        with torch.no_grad():
            output = first_tensor(call(look.model, inputs))
        if output is None:
            raise ValueError("the output holds no tensor")
        last = output.dim() == 3 and output.shape[1] != changed.shape[1] and output.shape[2] == changed.shape[1]
        return output.transpose(1, 2) if last else output

    return forward


def _steady(forward: Callable[[Tensor], Tensor], inputs: Tensor) -> Tensor:
    """Return outputs; raise `ValueError` for a model that answers unlike to equal inputs: it draws or keeps a state."""
    output = forward(inputs)
    if not torch.equal(output.nan_to_num(), forward(inputs).nan_to_num()):
        raise ValueError("the model answers unlike to equal inputs, in eval mode")
    return output


def _with_first(batch: Any, changed: Tensor) -> Any:
    first = first_tensor(batch)
    return map_tensors(lambda tensor: changed if tensor is first else tensor, batch)


def _sequence(look: Look) -> tuple[Tensor, Tensor] | None:
    """Return inputs and targets (B, T, ...) that lie along the same positions, or None."""
    inputs, targets = first_tensor(look.first.inputs), first_tensor(look.first.targets)
    if inputs is None or targets is None or inputs.dim() < 2 or targets.shape[:2] != inputs.shape[:2]:
        return None
    return inputs, targets


def _is_next_step(inputs: Tensor, targets: Tensor) -> bool:
    """Tell whether the targets are the inputs one position on."""
    if inputs.shape != targets.shape or inputs.shape[1] < 3:
        return False
    return float((inputs[:, 1:] == targets[:, :-1]).double().mean()) > 0.95


def future_leak(look: Look) -> Finding | None:
    """Judge a model that is declared causal, or whose targets are its next inputs."""
    sequence, inputs = _sequence(look), first_tensor(look.first.inputs)
    predicts_next = sequence is not None and _is_next_step(*sequence)
    if inputs is None or inputs.dim() < 2 or not (look.intent.causal or predicts_next):
        return None
    forward = _forward(look)
    output = _steady(forward, inputs)
    if output.shape[:2] != inputs.shape[:2]:
        raise ValueError("outputs do not lie at the positions of the inputs")

    def known(changed: Tensor) -> Tensor:
        return output if changed is inputs else forward(changed)

    finding = _sequences.check_future_leak(known, inputs)
    if finding.trouble and output.shape[1:] == (inputs.shape[1],) * 2:  # positions may lie along either
        return _sequences.check_future_leak(lambda changed: known(changed).transpose(1, 2), inputs)
    return finding


def target_lag(look: Look) -> Finding | None:
    """Judge the targets of a model of tokens that is declared causal."""
    inputs, targets = first_tensor(look.first.inputs), first_tensor(look.first.targets)
    if not look.intent.causal or inputs is None or inputs.dim() != 2 or inputs.is_floating_point() or targets is None:
        return None
    if targets.shape != inputs.shape:
        return None
    gradient = _sequences.gradient_by_position(look.loss_fn, look.first.output, targets)
    return _sequences.check_target_lag(inputs, _sequences.effective_targets(gradient))


def padding(look: Look) -> Iterator[Finding]:
    """Judge loss and output where a token is declared to pad."""
    pad_id, inputs, targets = look.intent.pad_id, first_tensor(look.first.inputs), first_tensor(look.first.targets)
    if pad_id is None or inputs is None or inputs.dim() != 2 or inputs.is_floating_point():
        return
    if targets is not None and targets.dim() == 2 and isinstance(look.first.output, Tensor):
        yield _sequences.check_padding_changes_loss(look.loss_fn, look.first.output, targets, pad_id)
    lengths = (inputs != pad_id).sum(dim=1)
    right = [int(n) for n, row in zip(lengths, inputs, strict=True) if n > 0 and bool((row[: int(n)] != pad_id).all())]
    if len(right) < len(inputs) or not isinstance(look.first.inputs, Tensor):
        return  # padded on the left, or told of the lengths
    row = int(lengths.argmin())
    length = min(int(lengths[row]), inputs.shape[1] - 1)
    example = inputs[row : row + 1, :length]
    _steady(_forward(look), example)
    yield _sequences.check_padding_changes_output(_forward(look), example, pad_id, inputs.shape[1] - length)
