"""Edges of graphs: whether they are read in the wrong shape, or joined without the offsets of their nodes."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from goldmark.case import Finding

_FEWEST_EDGES, _ENOUGH_EDGES, _MOST_EDGES = 32, 100_000, 10_000_000  # unlike ones, looked at, read at all
_FEW = 0.5  # of all edges have their reverse
_FEWEST_GRAPHS = 4


def are_edges(edges: Tensor, n_nodes: int) -> bool:
    """Tell whether a tensor is edges (2, E): whole numbers that are indices of nodes."""
    whole = not (edges.is_floating_point() or edges.is_complex() or edges.dtype == torch.bool)
    shaped = whole and edges.dim() == 2 and len(edges) == 2 and 2 < edges.shape[1] <= _MOST_EDGES
    return shaped and 0 <= int(edges.min()) and int(edges.max()) < n_nodes


def check_viewed_edges(edges: Tensor, n_nodes: int, threshold: float = 0.9) -> Finding:
    """Find out whether edges (2, E) are a list (E, 2) that was viewed so, in place of transposed.

    Of an undirected graph nearly every edge has its reverse. Here few have, where those of `edges.view(-1, 2)` do
    (0 where that is not asked), and not because the graph is so dense that reverses come by chance.
    """
    before, _ = _reversed(edges.t(), n_nodes) if are_edges(edges, n_nodes) else (1.0, 1.0)
    after, chance = _reversed(edges.reshape(-1, 2), n_nodes) if before < _FEW else (0.0, 1.0)
    return Finding(
        name="viewed_edges",
        trouble=chance < _FEW and after >= threshold,
        numbers={"with_reverse": before, "with_reverse_as_pairs": after},
        threshold=threshold,
        relation="edges of an undirected graph have their reverse: these have it where consecutive numbers pair up",
        advice="edges.t() in place of view(2, -1) or reshape, which pair up nodes of unlike edges",
    )


def _reversed(pairs: Tensor, n_nodes: int) -> tuple[float, float]:
    """Return how many of the unlike pairs (E, 2) stand there in reverse, too, and how many would by chance."""
    one, other = pairs.long().unbind(1)
    part = 1 + len(pairs) // _ENOUGH_EDGES  # of all pairs, each with its reverse
    chosen = ((one + other) % part == 0) & (one != other)
    keys = torch.unique((one * n_nodes + other)[chosen])
    if len(keys) < _FEWEST_EDGES:
        return 0.0, 1.0
    one, other = keys // n_nodes, keys % n_nodes
    places = torch.searchsorted(keys, other * n_nodes + one).clamp(max=len(keys) - 1)
    share = (keys[places] == other * n_nodes + one).double().mean()
    out, into = (torch.bincount(ends, minlength=n_nodes) for ends in (one, other))
    chance = (part * out[other] * into[one] / len(keys)).clamp(max=1).mean()
    return float(share), float(chance)


def are_graphs(graphs: Tensor) -> bool:
    """Tell whether a tensor says of each node (N,) to which of several graphs it belongs: 0 to B - 1, sorted."""
    whole = not (graphs.is_floating_point() or graphs.is_complex() or graphs.dtype == torch.bool)
    if not whole or graphs.dim() != 1 or len(graphs) < _FEWEST_GRAPHS:
        return False
    steps = graphs.diff()
    counted = int(graphs[0]) == 0 and bool(((steps == 0) | (steps == 1)).all())
    return counted and _FEWEST_GRAPHS <= int(graphs[-1]) + 1 < len(graphs)


def check_unshifted_edges(batches: Sequence[tuple[Tensor, Tensor]], threshold: float = 0.5) -> Finding:
    """Find out whether graphs were joined to batches without the offsets of their nodes.

    `batches` are edges (2, E), whose numbers are indices of nodes, and the graph of each node (N,), 0 to B - 1. All
    edges lie below the size of the largest graph, so that most graphs have none, and some lead from graph to graph.
    """
    below = all(int(edges.max()) < int(torch.bincount(graphs).max()) for edges, graphs in batches)
    n_graphs = sum(int(graphs[-1]) + 1 for _, graphs in batches)
    n_reached = sum(len(torch.unique(graphs[edges.long()])) for edges, graphs in batches)
    crossing = sum(int(crosses(*batch).sum()) for batch in batches)
    without = 1 - n_reached / max(n_graphs, 1)
    return Finding(
        name="unshifted_edges",
        trouble=below and crossing > 0 and without >= threshold,
        numbers={"graphs_without_edges": without, "edges_between_graphs": float(crossing)},
        threshold=threshold,
        relation="edges lead from node to node of one graph, and not only the first graphs of a batch have some",
        advice="add to the edges of each graph how many nodes stand before it in the batch: edges + offset",
    )


def crosses(edges: Tensor, graphs: Tensor) -> Tensor:
    """Tell of edges (2, E) which lead from one graph to another, (E,) bool, by the graph of each node (N,)."""
    ends = graphs[edges.long()]
    return torch.ne(ends[0], ends[1])
