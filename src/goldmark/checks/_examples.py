"""Which examples and positions a loss reads, and which outputs the target of each of them pulls on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from goldmark.case import Finding
from goldmark.checks._graph import kind
from goldmark.checks._losses import known_losses, matching_loss
from goldmark.checks._structures import tensors_of

FEWEST_EXAMPLES = 4  # examples of a batch of which one is not all
_FEWEST_ROWS, _MOST_ROWS = 8, 256  # that are alike by no chance; that are compared
_ERRORS = ("MseLoss", "SmoothL1Loss", "HuberLoss", "Abs", "Pow")  # of outputs that are to hit a number
_MEANS = ("Mean", "Sum", "Mul", "Div")


def check_one_example_read(n_examples: int, places: Sequence[int | None]) -> Finding:
    """Find out whether the loss of a batch reads one of its examples alone, by its place.

    `places` say which one example had a gradient, or None, each time the examples were dealt anew. One that is chosen
    by what it holds, as the hardest or the only one with a label, moves with it.
    """
    fixed = len(places) >= 4 and places[0] is not None and len(set(places)) == 1
    return Finding(
        name="one_example_read",
        trouble=fixed and n_examples >= FEWEST_EXAMPLES,
        numbers={"examples": float(n_examples), "place": float(places[0]) if fixed and places[0] is not None else -1.0},
        threshold=1.0,
        relation="every example of a batch must count in its loss",
        advice="look for an index ([0], [-1]) on outputs and targets, and for a loop that keeps the last loss only",
    )


def lone_gradient(gradient: Tensor) -> int | None:
    """Return the place of the one example (N, ...) that has a gradient; None where several have one, or none."""
    rows = gradient.reshape(len(gradient), -1).ne(0).any(dim=1).nonzero().flatten().tolist()
    return rows[0] if len(rows) == 1 else None


def lone_loss(value: float, output: Tensor, targets: Tensor) -> int | None:
    """Return 0 or -1 where a loss is exactly that of the first or the last example, and not that of the batch."""
    if not FEWEST_EXAMPLES <= len(output) == len(targets) or matching_loss(value, known_losses(output, targets)):
        return None
    for place, row in ((0, slice(0, 1)), (-1, slice(-1, None))):
        if value > 0 and matching_loss(value, known_losses(output[row], targets[row]), rel=1e-5):
            return place
    return None


def check_examples_by_reference(one_example: Sequence[bool], n_unlike: int, fewest: int = 8) -> Finding:
    """Find out whether every batch is one example again and again, and another one in the next batch.

    As a replay buffer gives it that keeps references to an array which is changed in place. Of each batch it is told
    whether it `is_one_example`; `n_unlike` of them differ. A generator may be fed with one constant in all batches.
    """
    return Finding(
        name="examples_by_reference",
        trouble=len(one_example) >= fewest and all(one_example) and 2 * n_unlike > len(one_example),
        numbers={"batches": float(len(one_example)), "of_one_example": float(sum(one_example))},
        threshold=float(fewest),
        relation="examples with targets of their own must have inputs of their own",
        advice="store copies: buffer.append((state.copy(), ...)); an array that is changed in place is one for all",
    )


def is_one_example(inputs: Any, output: Any, targets: Any, loss: Tensor) -> bool:
    """Tell whether a batch compares one answer to equal inputs with more unlike numbers than it has entries.

    One for each of them may be right, as of several actions in one state, of which each row may have chosen one. A loss
    that only weighs answers by targets, as a policy gradient does, compares nothing; and an answer that varies from row
    to row depends on more than the inputs. Rows that were expanded from one are meant to be alike.
    """
    if not isinstance(output, Tensor) or not isinstance(targets, Tensor) or not targets.dim():
        return False
    n_rows, given = len(targets), list(tensors_of(inputs))
    if n_rows < _FEWEST_ROWS or not given or not output.numel() or not _has_rows(output, n_rows):
        return False
    if not all(_is_one_row(one, n_rows) and one.stride(0) > 0 for one in given):
        return False
    n_answers = _n_unlike(output[:_MOST_ROWS])
    if 2 * n_answers > min(n_rows, _MOST_ROWS):
        return False
    node = loss.grad_fn
    while node is not None and kind(node) in _MEANS:
        node = next((below for below, _ in node.next_functions if below is not None), None)
    compares = node is not None and kind(node) in _ERRORS
    n_answers = max(n_answers, output[:1].numel() // max(1, targets[:1].numel()))
    return compares and len(torch.unique(targets.detach(), dim=0)) > n_answers


def _is_one_row(tensor: Tensor, n_rows: int) -> bool:
    """Tell whether all rows are the same; most batches end at the second."""
    if not _has_rows(tensor, n_rows):
        return False
    rows = tensor.detach()
    return all(bool((part == rows[:1]).all()) for part in (rows[1:2], rows))


def _n_unlike(output: Tensor, rel: float = 1e-5) -> int:
    """Return how many rows are unlike those before them, give or take `rel` of the largest entry."""
    rows = output.detach().reshape(len(output), -1).float()
    near = torch.cdist(rows, rows, p=torch.inf) <= rel * rows.abs().max()
    return int((near.int().argmax(dim=1) == torch.arange(len(rows), device=rows.device)).sum())


def _has_rows(tensor: Tensor, n_rows: int) -> bool:
    return tensor.layout == torch.strided and not tensor.is_complex() and tensor.shape[:1] == (n_rows,)


def class_dimensions(output: Tensor, targets: Tensor) -> list[int]:
    """Return the dimensions of outputs that classes may lie along, for targets (B, T, ...) of indices.

    Where several have the size, a linear layer as the last one says that it is the last dimension.
    """
    if targets.is_floating_point() or targets.dim() < 2 or output.dim() != targets.dim() + 1:
        return []
    shapes = [(*output.shape[:dim], *output.shape[dim + 1 :]) for dim in range(output.dim())]
    fitting = [dim for dim in range(1, output.dim()) if shapes[dim] == tuple(targets.shape)]
    last = output.dim() - 1
    return [last] if len(fitting) > 1 and last in fitting and _ends_in_linear(output) else fitting


def _ends_in_linear(output: Tensor) -> bool:
    node = output.grad_fn
    while node is not None and kind(node) in ("View", "UnsafeView", "Add"):
        node = node.next_functions[0][0]
    return node is not None and kind(node) in ("Addmm", "Mm")


def check_scattered_targets(
    gradient_of: Callable[[Tensor], Tensor], targets: Tensor, dimensions: Sequence[int], most: int = 6
) -> Finding:
    """Find out whether the target of one position (B, T, ...) pulls on outputs of several, and never on its own class.

    `gradient_of(targets)` is the gradient on outputs whose classes lie along one of `dimensions`. A target is changed
    from one class to another: where a loss compares position by position, only outputs of these two move, or all of
    one position. One that compares whole sequences, as CTC and a CRF do, moves more than a position has, and passes.
    """
    before, scattered, tried = gradient_of(targets), 0, 0
    for place, other in _exchanges(targets, most):
        changed = targets.clone()
        changed[place] = other
        after = gradient_of(changed)
        moved = (before - after).abs() > 1e-6 * (float(before.abs().max()) + 1e-12)
        if 0 < int(moved.sum()) <= max(before.shape[dim] for dim in dimensions):
            tried += 1
            scattered += all(_is_scattered(moved.movedim(dim, -1), int(targets[place]), other) for dim in dimensions)
    return Finding(
        name="scattered_targets",
        trouble=tried > 0 and 2 * scattered > tried,
        numbers={"targets_tried": float(tried), "scattered": float(scattered)},
        threshold=tried / 2,
        relation="the target of a position must pull on the outputs of that position",
        advice="bring classes to dimension 1 with transpose or permute; a view only renames the dimensions",
    )


def _exchanges(targets: Tensor, most: int) -> list[tuple[tuple[int, ...], int]]:
    """Return places of some targets, and another class for each: the farthest among all."""
    classes = torch.unique(targets[targets >= 0]).tolist()
    rows = targets.reshape(len(targets), -1)
    if len(classes) < 2 or rows.shape[1] < 3:
        return []
    columns = sorted(set(torch.linspace(1, rows.shape[1] - 1, most).long().tolist()))
    flat = [(0, column) for column in columns if int(rows[0, column]) >= 0]
    exchanges = []
    for row, column in flat:
        own = int(rows[row, column])
        other = classes[0] if abs(own - classes[0]) > abs(own - classes[-1]) else classes[-1]
        place = torch.unravel_index(torch.tensor(row * rows.shape[1] + column), targets.shape)
        exchanges.append((tuple(int(one) for one in place), int(other)))
    return exchanges


def _is_scattered(moved: Tensor, own: int, other: int) -> bool:
    """Tell whether outputs (..., C) moved at several positions, at none of them those of both classes."""
    both = moved[..., own] & moved[..., other] if max(own, other) < moved.shape[-1] else moved.any(dim=-1)
    return int(moved.any(dim=-1).sum()) > 1 and not bool(both.any())
