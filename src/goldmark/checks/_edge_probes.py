"""The probes of a preflight that concern graphs: inputs among which their edges (2, E) stand."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from goldmark.case import Finding
from goldmark.checks import _edges
from goldmark.checks._preflight import Look, Probe
from goldmark.checks._structures import call, map_tensors, tensors_of


def _viewed_edges(look: Look) -> Iterator[Finding]:
    """Judge edges beside which features (N, ...) or (B, N, ...), or targets, tell how many nodes there may be."""
    inputs, targets = look.train.batches[0]
    tensors = list(tensors_of((inputs, targets)))
    for edges in tensors_of(inputs):
        if edges.dim() == 2 and len(edges) == 2:
            lengths = [length for one in tensors for length in one.shape[:2] if length not in edges.shape]
            yield _edges.check_viewed_edges(edges, max(lengths, default=0))


def _unshifted_edges(look: Look) -> Finding | None:
    joined = [(inputs, graph) for inputs, _ in look.train.batches if (graph := _joined(inputs)) is not None]
    if not joined:
        return None
    finding = _edges.check_unshifted_edges([graph for _, graph in joined])
    if not finding.trouble:
        return finding
    crossed = [one for one in joined if bool(_edges.crosses(*one[1]).any())]
    return finding if _mixes(look, *crossed[0]) else None


def _joined(inputs: Any) -> tuple[Tensor, Tensor] | None:
    """Return the only edges (2, E) among inputs, and the graph of each node (N,); None where there are no such two."""
    tensors = list(tensors_of(inputs))
    graphs = [one for one in tensors if _edges.are_graphs(one)]
    if len(graphs) != 1:
        return None
    edges = [one for one in tensors if _edges.are_edges(one, len(graphs[0]))]
    return (edges[0], graphs[0]) if len(edges) == 1 else None


def _mixes(look: Look, inputs: Any, graph: tuple[Tensor, Tensor]) -> bool:
    """Tell whether what a model gives for a graph depends on the nodes of others: it may add offsets by itself."""
    edges, graphs = graph
    device = next((one.device for one in look.model.parameters()), graphs.device)
    ends = graphs[edges[:, _edges.crosses(edges, graphs)][:, 0].long()]
    look.model.eval()
    with torch.no_grad():
        plain = _given(look, inputs, device)
        for end in ends:
            own = graphs == end

            def alike(one: Tensor, own: Tensor = own) -> Tensor:
                """Give all nodes of other graphs the features of one node."""
                features = one.dim() > 0 and len(one) == len(own) and one is not graphs
                return torch.where(own.view(-1, *[1] * (one.dim() - 1)), one, one[own][:1]) if features else one

            changed = _given(look, map_tensors(alike, inputs), device)
            rows = int(end) if len(plain) <= int(graphs[-1]) + 1 else own.cpu()
            if not torch.allclose(plain[rows], changed[rows], rtol=1e-4, atol=1e-6):
                return True
    return False


def _given(look: Look, inputs: Any, device: torch.device) -> Tensor:
    """Return the first tensor (B, ...) or (N, ...) that a model gives for a copy of some inputs."""
    torch.default_generator.manual_seed(0)  # the same noise, of a model that draws some
    output = next(tensors_of(call(look.model, map_tensors(lambda one: one.to(device, copy=True), inputs))))
    return output.cpu()


EDGE_PROBES: tuple[Probe, ...] = (_viewed_edges, _unshifted_edges)
