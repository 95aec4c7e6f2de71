"""Edges of graphs: read in the wrong shape, and joined without offsets."""

from __future__ import annotations

import pytest
import torch

from goldmark.checks import check_unshifted_edges, check_viewed_edges, preflight


def edges_of(n_nodes, n_edges, seed=0):
    """Edges (2E, 2) of an undirected graph, both ways, in order."""
    edges = torch.randint(0, n_nodes, (n_edges, 2), generator=torch.Generator().manual_seed(seed))
    return torch.unique(torch.cat([edges, edges.flip(1)]), dim=0)


def share_with_reverse(edges):
    """How many of the unlike edges between two nodes stand there in reverse, too, counted one by one."""
    unlike = {(a, b) for a, b in edges.t().tolist() if a != b}
    return sum((b, a) in unlike for a, b in unlike) / len(unlike)


@pytest.mark.parametrize("dtype", [torch.int64, torch.int32])
def test_a_viewed_list_is_told_from_a_transposed_one(dtype):
    """Sorted or not, and the numbers are those of counting."""
    edges = edges_of(200, 500).to(dtype)
    shuffled = edges[torch.randperm(len(edges), generator=torch.Generator().manual_seed(1))]
    for one in (edges, shuffled):
        assert not check_viewed_edges(one.t(), 200).trouble
        finding = check_viewed_edges(one.reshape(2, -1), 200)
        assert finding.trouble
        assert finding.numbers["with_reverse"] == share_with_reverse(one.reshape(2, -1))
        assert finding.numbers["with_reverse_as_pairs"] == share_with_reverse(one.t()) == 1


def test_a_part_of_many_edges_is_enough():
    """Pairs are chosen with their reverse."""
    edges = edges_of(5000, 150_000)
    assert not check_viewed_edges(edges.t(), 5000).trouble
    assert check_viewed_edges(edges.reshape(2, -1), 5000).trouble


SILENT = {
    "directed": (edges_of(200, 500)[edges_of(200, 500).diff(dim=1).flatten() > 0].t(), 200),
    "small": (edges_of(12, 10).reshape(2, -1), 12),
    "dense": (edges_of(20, 600).reshape(2, -1), 20),
    "bipartite": (torch.stack([torch.arange(100).repeat_interleave(8), edges_of(50, 800)[:800, 0]]), 100),
    "beyond_the_nodes": (edges_of(200, 500).reshape(2, -1), 150),
    "numbers": (edges_of(200, 500).reshape(2, -1).float(), 200),
    "other_shape": (edges_of(200, 500), 200),
    "none": (torch.zeros(2, 0, dtype=torch.int64), 200),
}


@pytest.mark.parametrize(("edges", "n_nodes"), SILENT.values(), ids=SILENT)
def test_other_graphs_and_other_tensors_are_no_viewed_lists(edges, n_nodes):
    """Whatever has no reverses in either reading, or has them by chance."""
    assert not check_viewed_edges(edges, n_nodes).trouble


def batch_of(sizes, *, shifted):
    """A batch of graphs, each a ring: edges (2, E) and the graph of each node (N,)."""
    sizes = torch.tensor(sizes)
    starts = sizes.cumsum(0) - sizes
    rings = [torch.stack([torch.arange(n), (torch.arange(n) + 1) % n]) for n in sizes.tolist()]
    moved = [ring + (start if shifted else 0) for ring, start in zip(rings, starts, strict=True)]
    return torch.cat(moved, 1), torch.arange(len(sizes)).repeat_interleave(sizes)


def test_edges_without_offsets_reach_the_first_graphs_alone():
    """Also in a batch that begins with the largest graph, where none of them crosses, beside one of which some do."""
    sizes = [5, 8, 6, 7, 5, 8]
    finding = check_unshifted_edges([batch_of(sizes, shifted=False), batch_of(sizes[1:], shifted=False)])
    assert finding.trouble
    assert finding.numbers == {"graphs_without_edges": pytest.approx(1 - 3 / 11), "edges_between_graphs": 8.0}
    assert not check_unshifted_edges([batch_of(sizes, shifted=True)]).trouble


def test_one_graph_for_all_and_graphs_without_edges_pass():
    """As a skeleton whose edges are told once for examples of one size, and atoms alone."""
    assert not check_unshifted_edges([batch_of([6] * 5, shifted=False)]).trouble
    edges, graphs = batch_of([5, 8, 6, 7, 5, 8], shifted=True)
    assert not check_unshifted_edges([(edges[:, graphs[edges[0]] > 3], graphs)]).trouble
    assert not check_unshifted_edges([(edges[:, graphs[edges[0]] < 1], graphs)]).trouble


@pytest.mark.parametrize("viewed", [True, False])
def test_a_preflight_judges_one_graph_beside_features_of_its_nodes_at_several_times(*, viewed):
    """Where batches (B, N, F) share their edges."""
    edges = edges_of(60, 100).reshape(2, -1) if viewed else edges_of(60, 100).t()
    model, targets = Spread(), torch.randn(4, 60, 1, generator=torch.Generator().manual_seed(1))
    batches = [((torch.randn(4, 60, 3, generator=torch.Generator().manual_seed(0)), edges), targets)]
    found = preflight(model, torch.optim.SGD(model.parameters(), lr=0.1), batches, None, torch.nn.MSELoss())
    assert ("viewed_edges" in found.names) == viewed


class Spread(torch.nn.Module):
    """What a layer says of the neighbours of each node."""

    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(3, 1)

    def forward(self, x, edges):
        """Numbers (B, N, 1)."""
        return self.layer(torch.zeros_like(x).index_add(1, edges[1], x[:, edges[0]]))


class Summed(torch.nn.Module):
    """What the sum of the neighbours of all nodes of a graph says, of inputs in a dict or a tuple."""

    def __init__(self):
        super().__init__()
        self.last = torch.nn.Linear(3, 2)

    def forward(self, nodes, pairs, owner):
        """Logits (B, 2)."""
        near = torch.zeros_like(nodes).index_add(0, pairs[1], nodes[pairs[0]])
        return self.last(near.new_zeros(int(owner.max()) + 1, 3).index_add(0, owner, near))


@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize("shifted", [True, False])
def test_a_preflight_tells_edges_by_shapes(*, named, shifted):
    """Names of keys are not needed."""
    edges, graphs = batch_of([5, 8, 6, 7, 5, 8], shifted=shifted)
    x = torch.randn(39, 3, generator=torch.Generator().manual_seed(0))
    inputs = {"nodes": x, "pairs": edges, "owner": graphs} if named else (x, edges, graphs)
    model = Summed()
    batches = [(inputs, torch.arange(6) % 2)]
    found = preflight(model, torch.optim.SGD(model.parameters(), lr=0.1), batches, None, torch.nn.CrossEntropyLoss())
    assert ("unshifted_edges" in found.names) != shifted
