"""Softmaxes over another dimension than the one along which the labels that they are compared with are."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

from torch import Tensor

from goldmark.case import Finding
from goldmark.checks._adding import factor_of
from goldmark.checks._axes import place_after, summed
from goldmark.checks._graph import Node, kind, nodes, shape_of, signed

_MOST_NODES = 2_000
_ROUNDING = 1e-3
_KEPT = ("Neg", "Log", "Add", "Sub", "ClampMin", "Clamp", "ToCopy")  # of one operand: entries stay in their places


def check_softmax_across_targets(loss: Tensor) -> Finding:
    """Find out whether a log-softmax runs over another dimension than the labels that it is multiplied with.

    Labels are constants, none negative, that add up to 1 along a dimension: one-hot or smoothed, so that all are the
    same numbers in another order. Along the softmax's own dimension they add up to several numbers beside the 0 of a
    mask, and the products are summed along that of the labels. Where a loss also holds a softmax over the dimension of
    the labels, as for pairs that are looked up both ways, both are meant; labels along the first dimension, that of
    examples, may be pairs that are looked up one way, and pass. The graph holds constants until its backward
    pass, and nothing is said after it.
    """
    walked, across = list(nodes(loss.grad_fn, _MOST_NODES, past_layers=False)), 0
    with suppress(RuntimeError):
        right = {_softmax_of(node) for node in walked if kind(node) in ("LogSoftmax", "Softmax")}
        made = (made for node in walked if kind(node) in ("Sum", "Mean") for made in _across(node))
        across = next((along for shape, along in made if (shape, along) not in right), 0)
    return Finding(
        name="softmax_across_targets",
        trouble=across > 0,
        numbers={"dimension_of_labels": float(across)},
        threshold=0.0,
        relation="a log-softmax must run over the dimension along which the labels that it meets add up to 1",
        advice=f"take the log-softmax over dimension {across}, that of the classes",
    )


def _softmax_of(softmax: Node) -> tuple[tuple[int, ...], int]:
    """Return of what shape a softmax is, and over which dimension."""
    shape = shape_of(softmax) or ()
    return shape, signed(softmax._saved_dim) % max(len(shape), 1)  # noqa: SLF001


def _across(total: Node) -> Iterator[tuple[tuple[int, ...], int]]:
    """Yield the shape and the dimension of labels whose products with a softmax over another one are summed."""
    product = _past_kept(total.next_functions[0][0])
    if product is None or kind(product) != "Mul" or (factor := factor_of(product)) is None:
        return
    place = _place_of_softmax(next(one for one, _ in product.next_functions if one is not None))
    shape = shape_of(product) or ()
    if place is None or tuple(factor.shape) != shape or not factor.numel():
        return
    labels = factor * (1.0 if bool((factor >= 0).all()) else -1.0)
    for along in summed(total, len(shape)):
        if 0 < along != place and shape[along] > 1 and _are_labels(labels, along, place):
            yield shape, along


def _past_kept(node: Node | None) -> Node | None:
    while node is not None and kind(node) in _KEPT:
        below = [one for one, _ in node.next_functions if one is not None]
        node = below[0] if len(below) == 1 and shape_of(below[0]) == shape_of(node) else None
    return node


def _place_of_softmax(node: Node | None) -> int | None:
    """Return over which dimension of what an operation gave a log-softmax ran, past views; None where none did."""
    path: list[Node] = []
    while node is not None and kind(node) not in ("LogSoftmax", "Softmax"):
        below = [one for one, _ in node.next_functions if one is not None]
        if len(below) != 1:
            return None
        path.append(node)
        node = below[0]
    if node is None or (kind(node) == "Softmax" and all(kind(one) != "Log" for one in path)):
        return None
    shape, place = _softmax_of(node)
    for one in reversed(path):
        after = shape_of(one) or ()
        moved = place_after(one, shape, after, place) if kind(one) not in _KEPT else place if after == shape else None
        if moved is None:
            return None
        shape, place = after, moved
    return place


def _are_labels(labels: Tensor, along: int, place: int) -> bool:
    """Tell whether constants are labels along a dimension, and add up to no one number, or to 0, along another."""
    sums = labels.sum(place)
    largest = sums.max()
    if bool((((sums - largest).abs() <= _ROUNDING * largest) | (sums == 0)).all()) or bool((labels < 0).any()):
        return False
    if bool(((labels.sum(along) - 1).abs() > _ROUNDING).any()):
        return False
    ordered = labels.movedim(along, -1).flatten(0, -2).sort(dim=-1).values
    return bool(((ordered - ordered[:1]).abs() <= _ROUNDING).all())
