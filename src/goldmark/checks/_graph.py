"""The graph of a loss: which operations lead from it to the outputs, and which tensors it reaches.

Nodes keep their names, edges and shapes after the backward pass, which frees no more than the values they had saved.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from torch import Tensor

Node = Any  # torch.autograd.graph.Node, whose members have no types
Edge = tuple[Node, int]  # what an operation gave, of several results the one at a place

# Operations that hand numbers on as they are, one by one.
_PASSING = ("View", "UnsafeView", "Squeeze", "Unsqueeze", "Select", "Slice", "Transpose", "T", "Permute", "Clone")
_PASSING_MORE = ("ToCopy", "Alias", "Expand", "ReshapeAlias", "Reshape", "Index", "AsStrided", "Unbind", "Split")
PASSING = frozenset((*_PASSING, *_PASSING_MORE, "UnsqueezeBackward", "Contiguous", "MaskedSelect"))
CROSS_ENTROPIES = ("BinaryCrossEntropy", "BinaryCrossEntropyWithLogits")
LAYERS = frozenset(("Addmm", "Mm", "Bmm", "Baddbmm", "Convolution", "Embedding", "NativeLayerNorm", "NativeBatchNorm"))

_ODD = frozenset(("Sum", "Mean", "Neg", "Div", "Mul", "Mm", "Bmm", "Sigmoid", "Tanh"))  # f(-x) = -f(x), but for 1/2


def kind(node: Node) -> str:
    """Return the operation of a node: `LogSoftmax` for `LogSoftmaxBackward0`."""
    return str(node.name()).split("::")[-1].partition("Backward")[0]


def nodes(
    start: Node | None, limit: int = 20_000, *, past_layers: bool = True, without: Iterable[Node] = ()
) -> Iterator[Node]:
    """Yield every node that a backward pass from `start` visits, each once; at most `limit`.

    Without `past_layers` the walk ends at the last layers of the model: what it visits is loss and output activation.
    It goes around the nodes `without`, and does not enter what only they lead to.
    """
    waiting: list[Node] = [start] if start is not None else []
    known: set[Node] = set(without)
    while waiting and len(known) < limit:
        node = waiting.pop()
        if node in known:
            continue
        known.add(node)
        yield node
        if not past_layers and kind(node) in LAYERS:
            continue
        waiting += [following for following, _ in node.next_functions if following is not None]


def source(node: Node | None) -> Node | None:
    """Return the first node below or at `node` that changes numbers, past views, slices and copies."""
    while node is not None and kind(node) in PASSING:
        node = next((following for following, _ in node.next_functions if following is not None), None)
    return node


def sources(node: Node) -> list[Node]:
    """Return what the inputs of a node were computed by, past views, slices and copies."""
    below = (source(following) for following, _ in node.next_functions)
    return [following for following in below if following is not None]


def leaves(loss: Tensor, without: Iterable[Node] = ()) -> list[Tensor]:
    """Return the leaf tensors that receive a gradient from a loss, by other ways than the nodes `without`."""
    return leaves_below(loss.grad_fn, without)


def leaves_below(node: Node | None, without: Iterable[Node] = ()) -> list[Tensor]:
    """Return the leaf tensors that receive a gradient from what an operation gave."""
    reached = nodes(node, without=without)
    variables = (getattr(node, "variable", None) for node in reached if not node.next_functions)
    return [variable for variable in variables if isinstance(variable, Tensor)]


def is_difference(node: Node | None, depth: int = 8) -> bool:
    """Tell whether an operation gave what the same weights give of two inputs, one less the other.

    It may be squashed, or go through what has no bias: turned round, it turns its sign.
    """
    node = source(node)
    if node is None or depth == 0:
        return False
    below = [following for following, _ in node.next_functions if following is not None]
    if kind(node) == "Sub":
        makers = [{id(leaf) for leaf in leaves_below(one)} for one in below]
        return len(makers) == 2 and bool(makers[0]) and makers[0] == makers[1]
    return kind(node) in _ODD and sum(is_difference(one, depth - 1) for one in below) == 1


def shape_of(node: Node, place: int = 0) -> tuple[int, ...] | None:
    """Return the shape of what an operation gave, of several the one at `place`; None where torch does not tell."""
    metadata = getattr(node, "_input_metadata", None)
    if not metadata or getattr(metadata[place], "is_nested_tensor", False):
        return None
    return tuple(metadata[place].shape)


def signed(number: int) -> int:
    """Return a dimension or an index as it was given: torch saves negative ones modulo 2^64."""
    return number - 2**64 if number >= 2**63 else number


def adds_constant(loss: Tensor) -> bool:
    """Tell whether a loss is a sum of terms of which at least one has no gradient."""
    waiting = [loss.grad_fn]
    while waiting:
        node = source(waiting.pop())
        if node is None or kind(node) not in ("Add", "Sub", "Mean", "Div", "Mul", "Stack", "Sum"):
            continue
        edges = [following for following, _ in node.next_functions]
        if kind(node) in ("Add", "Sub", "Stack") and None in edges:
            return True
        waiting += [edge for edge in edges if edge is not None] if kind(node) != "Mul" else edges[:1]
    return False
