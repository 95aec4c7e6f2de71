"""Terms of a loss that are declared and computed, and left out of it: told by the graphs of both."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from torch import Tensor

from goldmark.checks._graph import LAYERS, Edge, Node, kind
from goldmark.checks._structures import tensors_of

_MATRICES = LAYERS - {"NativeLayerNorm", "NativeBatchNorm"}  # what lies behind them is something else


def unread_terms(loss: Any, output: Any, terms: Mapping[str, Any], roots: Iterable[Node | None] = ()) -> frozenset[str]:
    """Return the names of terms that are not in the graph of a loss, and read outputs that it does not read.

    `roots` are where backward passes have started besides. An unweighted copy of a term reads what the loss reads, and
    so does a number for a log.
    """
    start = [*_edges([loss]), *((root, 0) for root in roots if root is not None)]
    own = {name: edges for name, term in terms.items() if (edges := _edges([term]))}
    near = below(start, ends=LAYERS)
    left_out = {name: edges for name, edges in own.items() if near.isdisjoint(edges)}
    if not start or not left_out:
        return frozenset()
    unread = _unread(start, set(_edges(tensors_of(output))))
    read = below(start) if unread else set()
    reached = {name: below(edges) for name, edges in left_out.items() if unread and read.isdisjoint(edges)}
    return frozenset(name for name, edges in reached.items() if not unread.isdisjoint(edges))


def _unread(start: Collection[Edge], outputs: set[Edge]) -> set[Edge]:
    """Return the outputs that a loss does not read, nor what they were made of, which it reads by other ways.

    Where it reads none, it may be made of what the program gave for outputs in another form.
    """
    read = below(start) & outputs
    others = below(start, stops=outputs) if read else set()
    return {edge for edge in outputs - read if read and others.isdisjoint(below([edge], ends=_MATRICES))}


def is_summed(term: Any, loss: Any) -> bool:
    """Tell whether a term is in the graph of a loss before the last layers; so it is where there is no graph."""
    edges = _edges([term])
    return not edges or not _edges([loss]) or not below(_edges([loss]), ends=LAYERS).isdisjoint(edges)


def below(
    start: Iterable[Edge], *, ends: Collection[str] = (), stops: Collection[Edge] = (), limit: int = 20_000
) -> set[Edge]:
    """Return all results that some are made of, and themselves.

    The walk does not go past operations of the kinds `ends`, nor past the results `stops`.
    """
    waiting, known = list(start), set[Edge]()
    while waiting and len(known) < limit:
        edge = waiting.pop()
        if edge in known:
            continue
        known.add(edge)
        if edge not in stops and not (ends and kind(edge[0]) in ends):
            waiting += [(node, place) for node, place in edge[0].next_functions if node is not None]
    return known


def _edges(tensors: Iterable[Any]) -> list[Edge]:
    return [(one.grad_fn, one.output_nr) for one in tensors if isinstance(one, Tensor) and one.grad_fn is not None]
