"""The probes of a preflight that concern sequences: what an output sees, what padding changes, where targets lie."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import rnn

from goldmark.case import Finding
from goldmark.checks import _sequences
from goldmark.checks._direction import together
from goldmark.checks._lags import check_shifted_twice, taught_lags
from goldmark.checks._leaks import check_decoder_sees_target
from goldmark.checks._losses import LossFunction
from goldmark.checks._masks import check_attention_to_padding
from goldmark.checks._padding import behind, filled_from
from goldmark.checks._preflight import Look
from goldmark.checks._pulls import with_target
from goldmark.checks._structures import call, first_tensor, map_tensors, tensors_of


def _forward(look: Look) -> Callable[..., Tensor]:
    """Return the model in eval mode as a function of its first input tensor, giving outputs (B, T, ...) if it can.

    All else that the model is given is that of the batch, unless it is passed, too.
    """
    batch, shape, given = look.first.inputs, look.first.first_output.shape, first_tensor(look.first.inputs)
    positions_last = given is not None and len(shape) == 3 and shape[1] != given.shape[1] == shape[2]

    def forward(changed: Tensor, whole: Any = None) -> Tensor:
        look.model.eval()
        inputs = changed if isinstance(batch, Tensor) else _with_first(batch, changed) if whole is None else whole
        with torch.no_grad():
            output = first_tensor(call(look.model, inputs))
        if output is None:
            raise ValueError("the output holds no tensor")
        return output.transpose(1, 2) if positions_last else output

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


def directions(look: Look) -> Iterator[Finding]:
    """Judge what the loss reads of bidirectional layers."""
    yield from together([one.reads for one in look.passes]).findings()


def target_lag(look: Look) -> Finding | None:
    """Judge the targets of a model of tokens that is declared causal."""
    inputs, targets = first_tensor(look.first.inputs), first_tensor(look.first.targets)
    if not look.intent.causal or inputs is None or inputs.dim() != 2 or inputs.is_floating_point() or targets is None:
        return None
    if targets.shape != inputs.shape:
        return None
    gradient = _sequences.gradient_by_position(look.loss_fn, look.first.output, targets)
    return _sequences.check_target_lag(inputs, _sequences.effective_targets(gradient))


def taught_lag(look: Look) -> Iterator[Finding]:
    """Judge which of its tokens a model is taught that is given its labels, or those that come before them."""
    targets, inputs = first_tensor(look.first.targets), list(tensors_of(look.first.inputs))
    if targets is None or targets.is_floating_point() or targets.dim() != 2 or not look.reads_targets:
        return
    alike = [one for one in inputs if one.shape == targets.shape and not one.is_floating_point()]
    tokens, offset = next(((x, k) for k in (0, 1) for x in alike if _is_shifted(x, targets, k)), (None, 0))
    if tokens is None:
        return

    def forward(changed: Tensor) -> Any:
        look.model.eval()
        with torch.no_grad():
            return call(look.model, with_target(look.first.inputs, tokens, changed))

    def loss_of(output: Any, changed: Tensor) -> Tensor:
        return look.loss_fn(output, with_target(look.first.targets, targets, changed))

    lags = taught_lags(forward, loss_of, tokens, targets, offset)
    yield check_decoder_sees_target(inputs, targets, lags)
    if not (look.intent.causal and tokens is inputs[0]):  # else the lag of its targets is known
        yield check_shifted_twice(lags)


def _is_shifted(tokens: Tensor, targets: Tensor, offset: int) -> bool:
    """Tell whether targets (B, T) are the tokens `offset` positions on."""
    return torch.equal(tokens[:, offset:], targets[:, : targets.shape[1] - offset])


def padding(look: Look) -> Iterator[Finding]:
    """Judge loss, attention and output where a token is declared to pad."""
    pad_id, inputs = look.intent.pad_id, first_tensor(look.first.inputs)
    if pad_id is None or inputs is None:
        return
    yield from _padding_in_loss(look, inputs, pad_id)
    if inputs.dim() == 2 and not inputs.is_floating_point():
        yield check_attention_to_padding(inputs == pad_id, look.first.left_out)
        yield from _padding_in_output(look, inputs, pad_id)


def _padding_in_loss(look: Look, inputs: Tensor, pad_id: int) -> Iterator[Finding]:
    """Judge class indices (B, T) of which some are padding for sure."""
    output, targets = look.first.output, first_tensor(look.first.targets)
    if targets is None or targets.dim() != 2 or targets.is_floating_point() or not isinstance(output, Tensor):
        return
    padded = _padded_targets(inputs, targets, pad_id)
    if output.numel() > targets.numel() and bool(padded.any()):
        yield _sequences.check_padding_changes_loss(_given_targets(look), output, targets, pad_id, padded)


def _given_targets(look: Look) -> LossFunction:
    """Return the loss of outputs and all targets of the first batch, of which one may be asked about."""
    return lambda output, _: look.loss_fn(output, look.first.targets)


def behind_lengths(look: Look) -> Finding | None:
    """Judge a loss that reads most of what fills targets up behind their lengths (B,), and nothing before."""
    output, members = look.first.output, list(tensors_of(look.first.targets))
    numbers = [one for one in tensors_of((look.first.targets, look.first.inputs)) if one.dim() == 1]
    fitting = ((one, lengths) for one in members for lengths in numbers if filled_from(one, lengths))
    targets, lengths = next(fitting, (None, None))
    if targets is None or lengths is None or not isinstance(output, Tensor):
        return None
    padded, filling = (behind(ends, targets.shape[1]) for ends in (lengths, lengths + 1))
    read = _sequences.gradient_by_position(_given_targets(look), output, padded).any(dim=2)
    if bool(read[~padded].any()) or 2 * int(read[filling].sum()) <= int(filling.sum()):
        return None
    return _sequences.check_padding_changes_loss(_given_targets(look), output, padded.long(), pad_id=1)


def _padded_targets(inputs: Tensor, targets: Tensor, pad_id: int) -> Tensor:
    """Return which targets (B, T) are padding (B, T) bool: as a class of its own the same number may mean a tag.

    Padding stands where inputs of that shape have it, too. Beside other inputs it fills rows up: all that follows it
    is padding; the first of a row may end the sequence, where one token does both.
    """
    padded = targets == pad_id
    if targets.shape == inputs.shape and not inputs.is_floating_point():
        return padded & (inputs == pad_id)
    fills_up = bool((padded[:, 1:] >= padded[:, :-1]).all())
    follows = padded.clone()
    follows[:, 1:] &= padded[:, :-1]
    return follows if fills_up else torch.zeros_like(padded)


def _padding_in_output(look: Look, inputs: Tensor, pad_id: int) -> Iterator[Finding]:
    """Judge the shortest example of tokens (B, T) that are padded on the right, without its padding and with it.

    What else a model is told of an example is cut with the tokens where it lies along them, as a mask does.
    """
    lengths, batch = (inputs != pad_id).sum(dim=1), look.first.inputs
    right = [int(n) for n, row in zip(lengths, inputs, strict=True) if n > 0 and bool((row[: int(n)] != pad_id).all())]
    row, alone = int(lengths.argmin()), isinstance(batch, Tensor)
    if len(right) < len(inputs) or not (alone or (right[row] < inputs.shape[1] and _fits(batch, inputs, pad_id))):
        return
    length = min(right[row], inputs.shape[1] - 1)

    def forward(changed: Tensor) -> Tensor:
        return plain(changed) if alone else plain(changed, _cut(batch, inputs, row, changed.shape[1]))

    plain, example = _forward(look), inputs[row : row + 1, :length]
    n_padding = inputs.shape[1] - length
    _steady(forward, example)
    finding = _sequences.check_padding_changes_output(forward, example, pad_id, n_padding)
    if finding.trouble and _is_one_width(look):
        with _packed(look.model, length):
            finding = _sequences.check_padding_changes_output(forward, example, pad_id, n_padding)
    yield finding


def _fits(batch: Any, tokens: Tensor, pad_id: int) -> bool:
    """Tell whether all else in a batch can be cut with its tokens: masks, ids that pad with them, numbers a row."""
    padded = tokens == pad_id
    for one in tensors_of(batch):
        along = one.shape[:2] == tokens.shape
        if one is tokens or one.dim() == 0 or (len(one) == len(tokens) and one.dim() == 1):
            continue
        if not along and not (one.is_floating_point() and len(one) == len(tokens)):
            return False
        held = one[padded] if along else one.new_zeros(0)
        constant = bool((held == held[:1]).all()) if one.dtype == torch.bool else False
        if not (constant or bool((held == 0).all()) or bool((held == pad_id).all())):
            return False
    return True


def _cut(batch: Any, tokens: Tensor, row: int, length: int) -> Any:
    """Return one example of a batch, of which the first positions are left."""

    def cut(one: Tensor) -> Tensor:
        if one.dim() == 0 or len(one) != len(tokens):
            return one
        return one[row : row + 1, :length] if one.shape[:2] == tokens.shape else one[row : row + 1]

    return map_tensors(cut, batch)


def _is_one_width(look: Look) -> bool:
    """Tell whether the batches are equally long, and the model answers at every position.

    Then an example has the same padding wherever it is read.
    """
    halves = [half for half in (look.train, look.val) if half is not None]
    widths = {one.shape[1] for half in halves for batch in half.batches if (one := first_tensor(batch[0])) is not None}
    output = look.first.first_output
    return len(widths) == 1 and output.dim() == 3 and widths <= set(output.shape[1:])


@contextmanager
def _packed(model: nn.Module, length: int) -> Iterator[None]:
    """Let recurrent layers that read both ways get the first `length` positions packed, for a while.

    Otherwise the way back begins in the padding. That is a start of its own, which is learnt where an example always
    has the same padding.
    """
    widths: dict[nn.Module, int] = {}  # of layers that are at work

    def pack(module: Any, inputs: Any) -> Any:
        if not isinstance(inputs[0], Tensor) or inputs[0].dim() != 3:
            return None
        examples, positions = (0, 1) if module.batch_first else (1, 0)
        widths[module] = inputs[0].shape[positions]
        lengths = torch.full((inputs[0].shape[examples],), min(length, widths[module]))
        return (rnn.pack_padded_sequence(inputs[0], lengths, batch_first=module.batch_first), *inputs[1:])

    def unpack(module: Any, inputs: Any, output: Any) -> Any:
        if module not in widths:
            return None
        width = widths.pop(module)
        padded, _ = rnn.pad_packed_sequence(output[0], batch_first=module.batch_first, total_length=width)
        return (padded, *output[1:])

    layers = [module for module in model.modules() if isinstance(module, nn.RNNBase) and module.bidirectional]
    handles = [one for m in layers for one in (m.register_forward_pre_hook(pack), m.register_forward_hook(unpack))]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
