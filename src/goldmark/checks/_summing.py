"""Softmaxes that nothing but their own sum reads, which is 1 whatever they are of: read from the graph of a loss."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor

from goldmark.case import Finding
from goldmark.checks._axes import place_after, summed
from goldmark.checks._graph import Node, kind, nodes, shape_of, signed

_SUMS = ("Sum", "Mean")

Readers = dict[Node, list[Node]]  # the operations that take what a node gave


def check_summed_softmax(loss: Tensor) -> Finding:
    """Find out whether nothing reads a softmax but sums, or means, over the dimension that it runs over.

    The sum is 1, or the count of all others, and what the softmax is of never learns. Where more is made of it, as
    where probabilities are divided by their sum, or of another softmax of the same numbers, that may be what is meant.
    """
    readers: Readers = {}
    for node in nodes(loss.grad_fn):
        for below in {following for following, _ in node.next_functions if following is not None}:
            readers.setdefault(below, []).append(node)
    read = {below: _is_read(below, readers) for below in readers if kind(below) == "Softmax"}
    needed = {softmax.next_functions[0] for softmax, more in read.items() if more}
    lost = [softmax for softmax, more in read.items() if not more and softmax.next_functions[0] not in needed]
    return Finding(
        name="summed_softmax",
        trouble=bool(lost),
        numbers={"softmaxes": float(len(lost))},
        threshold=0.0,
        relation="a softmax adds up to 1 over its own dimension, whatever it is of",
        advice="sum over another dimension than the softmax runs over, or weigh what is summed: "
        "(scores.softmax(-1) * values).sum(-1)",
    )


def _is_read(softmax: Node, readers: Readers) -> bool:
    """Tell whether anything but sums over its own dimension reads a softmax of several numbers."""
    shape = shape_of(softmax)
    if not shape:
        return True
    place = signed(softmax._saved_dim) % len(shape)  # noqa: SLF001
    return shape[place] < 2 or any(not gone for gone in _ends(softmax, place, readers))


def _ends(node: Node, place: int, readers: Readers) -> Iterator[bool]:
    """Yield of each way up from a node, past views, whether it ends in a sum over the dimension at `place`."""
    before = shape_of(node) or ()
    for reader in readers.get(node, []):
        after = shape_of(reader)
        moved = None if after is None else place_after(reader, before, after, place)
        if kind(reader) in _SUMS or moved is None:
            yield kind(reader) in _SUMS and place in summed(reader, len(before))
        else:
            yield from _ends(reader, moved, readers)
