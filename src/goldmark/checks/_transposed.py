"""Targets of pixels that pull on the outputs of other pixels, those across the diagonal of a square image."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from goldmark.case import Finding
from goldmark.checks._preflight import Look
from goldmark.checks._pulls import gradients, pull, with_target
from goldmark.checks._structures import call, first_tensor, tensors_of

_SMALLEST = 8  # size of an image of which pixels lie far enough from the diagonal
_LOCAL = 10  # times as much as the pixel across the diagonal moves the one that is meant
_MOST_CLASSES, _MOST_EXAMPLES, _FEWEST_EXAMPLES = 32, 64, 8
_DEVIATIONS = 3  # standard errors by which images and targets must be more alike as they are


def check_transposed_targets(gradient_of: Callable[[Tensor], Tensor], targets: Tensor) -> Finding:
    """Find out whether the targets of some pixels (B, ..., S, S, ...) pull on outputs across the diagonal alone.

    `gradient_of(targets)` is the gradient on outputs of as many pixels. A target is given the value of another pixel:
    the gradient must move at its own pixel, not at that with rows and columns exchanged.
    """
    before, pulls = gradient_of(targets)[:1], []
    for place, changed in _changed_pixels(targets):
        own, across = _moved_at(pull(before, gradient_of(changed)[:1]), place)
        pulls += [across > _LOCAL * own] if own + across > 0 else []
        if not all(pulls):
            break
    return Finding(
        name="transposed_targets",
        trouble=len(pulls) > 1 and all(pulls),
        numbers={"targets_tried": float(len(pulls)), "transposed": float(sum(pulls))},
        threshold=float(_LOCAL),
        relation="the target of a pixel must pull on the output of that pixel",
        advice="permute outputs and targets alike: (0, 2, 3, 1) brings channels to the end, (0, 3, 2, 1) also "
        "exchanges rows and columns",
    )


def square(tensor: Tensor) -> int | None:
    """Return the dimension of the rows of square images (B, ..., S, S, ...), before that of their columns, or None."""
    sizes = tensor.shape
    fitting = [dim for dim in range(tensor.dim() - 2, 0, -1) if sizes[dim] == sizes[dim + 1] >= _SMALLEST]
    return fitting[0] if fitting else None


def _pixels(tensor: Tensor) -> Tensor:
    """Return a view (B, S, S, ...) of square images."""
    dim = square(tensor)
    if dim is None:
        raise ValueError(f"{tuple(tensor.shape)} are no square images of {_SMALLEST} pixels a side or more")
    return tensor.movedim((dim, dim + 1), (1, 2))


def _changed_pixels(tensor: Tensor) -> Iterator[tuple[tuple[int, int], Tensor]]:
    """Yield places far from the diagonal, and images of which the first has the value of another pixel there."""
    pixels = _pixels(tensor)
    size, flat = pixels.shape[1], pixels.reshape(pixels.shape[0] * pixels.shape[1] ** 2, -1)
    corners = [(one, size - 1 - one) for one in (1, size // 4)]
    for row, column in (place for corner in corners for place in (corner, corner[::-1])):
        unlike = (flat != flat[row * size + column]).any(dim=1).nonzero().flatten()
        if len(unlike):
            changed = tensor.clone()
            _pixels(changed)[0, row, column] = flat[unlike[len(unlike) // 2]].view(pixels.shape[3:])
            yield (row, column), changed


def _moved_at(moved: Tensor, place: tuple[int, int]) -> tuple[float, float]:
    """Return by how much the first of some images has moved at a pixel, and at that across the diagonal."""
    row, column = place
    first = _pixels(moved)[0].abs().reshape(*_pixels(moved).shape[1:3], -1).sum(dim=2)
    return float(first[row, column]), float(first[column, row])


def answers_in_place(forward: Callable[[Tensor], Tensor], inputs: Tensor) -> bool:
    """Tell whether a pixel of square images moves the output of that pixel, not of the one across the diagonal."""
    before, local = forward(inputs), []
    for place, changed in _changed_pixels(inputs):
        own, across = _moved_at(forward(changed) - before, place)
        local.append(own > _LOCAL * across)
    return len(local) > 1 and all(local)


def lie_alike(inputs: Tensor, targets: Tensor) -> bool:
    """Tell whether square images and their targets are more alike, pixel by pixel, than with one of them transposed.

    Likeness is the sum of squared correlations between channels, of each example, whose mean must differ by three
    standard errors.
    """
    if len(inputs) != len(targets) or len(inputs) < _FEWEST_EXAMPLES:
        return False
    image = _channels(inputs[:_MOST_EXAMPLES]).flatten(1, 2)
    plain = _channels(targets[:_MOST_EXAMPLES])
    both = [(image.mT @ one.flatten(1, 2)).square().sum(dim=(1, 2)) for one in (plain, plain.transpose(1, 2))]
    gain = both[0] - both[1]
    return float(gain.mean()) > _DEVIATIONS * float(gain.std()) / math.sqrt(len(gain))


def _channels(images: Tensor) -> Tensor:
    """Return channels (B, S, S, K) of length 1 and mean 0; classes get one each."""
    pixels = _pixels(images)
    if not images.is_floating_point():
        classes = images.unique()[:_MOST_CLASSES]  # type: ignore[no-untyped-call]
        pixels = pixels.unsqueeze(-1) == classes
    flat = pixels.reshape(*pixels.shape[:3], -1).float()
    centred = flat - flat.mean(dim=(1, 2), keepdim=True)
    return centred / centred.square().sum(dim=(1, 2), keepdim=True).sqrt().clamp_min(1e-12)


def transposed_targets(look: Look) -> Iterator[Finding]:
    """Judge square images whose outputs and targets have their pixels, of which several may stand in a batch.

    Where model, data or nobody keeps rows and columns in their order, the loss may well exchange them.
    """
    inputs = first_tensor(look.first.inputs)
    if inputs is None or inputs.dim() != 4 or square(inputs) is None or not look.reads_targets:
        return
    size = _pixels(inputs).shape[1]
    outputs = [k for k, one in enumerate(tensors_of(look.first.output)) if _has_pixels(one, size)]
    for member, targets in enumerate(tensors_of(look.first.targets)):
        for place in outputs if _has_pixels(targets, size) else []:
            finding = _judged(look, targets, place)
            if not finding.trouble or _all_in_place(look, inputs, member, place):
                yield finding


def _has_pixels(tensor: Tensor, size: int) -> bool:
    return square(tensor) is not None and _pixels(tensor).shape[1] == size


def _judged(look: Look, targets: Tensor, place: int) -> Finding:
    def gradient_of(changed: Tensor) -> Tensor:
        return gradients(look.loss_fn, look.first.output, with_target(look.first.targets, targets, changed))[place]

    return check_transposed_targets(gradient_of, targets)


def _all_in_place(look: Look, inputs: Tensor, member: int, place: int) -> bool:
    """Tell whether outputs lie as their images, and so do targets."""

    def forward(changed: Tensor) -> Tensor:
        look.model.eval()
        with torch.no_grad():
            return list(tensors_of(call(look.model, with_target(look.first.inputs, inputs, changed))))[place]

    kept = [(first_tensor(x), list(tensors_of(y))[member]) for x, y in look.train.batches]
    alike = [(x, y) for x, y in kept if x is not None and x.shape[1:] == inputs.shape[1:] and len(x) == len(y)]
    images, targets = (torch.cat(half) for half in zip(*alike, strict=True))
    return answers_in_place(forward, inputs) and lie_alike(images, targets)
