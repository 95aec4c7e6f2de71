"""Graphs whose edges lead one way, join two kinds of nodes, or count the nodes of each graph from 0 on purpose."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional
from zoo.healthy.register import healthy
from zoo.loops import look, mlp
from zoo.pairs_graphs import Convolution, Graphs, Nodes, batches_of_graphs, network, of_graphs, of_nodes


@healthy
def edges_that_lead_from_the_later_node_to_the_earlier_one():
    x, edges, labels = network()
    return of_nodes(x, edges[edges[:, 0] > edges[:, 1]].t(), labels)


class Counting(nn.Module):
    """A network on graphs whose edges count the nodes of their own graph, which it shifts itself."""

    def __init__(self):
        super().__init__()
        self.shifted = Graphs()

    def forward(self, x, edges, graphs, n_edges):
        """Logits (B, 2)."""
        sizes = torch.bincount(graphs)
        return self.shifted(x, edges + (sizes.cumsum(0) - sizes).repeat_interleave(n_edges), graphs)


@healthy
def edges_that_the_network_shifts():
    def counted(n, seed):
        """Batches with the number of edges of each graph."""
        pairs = zip(*(batches_of_graphs(n, seed, shifted=shifted) for shifted in (False, True)), strict=True)
        for ((x, edges, graphs), labels), ((_, shifted, _), _) in pairs:
            yield (x, edges, graphs, torch.bincount(graphs[shifted[0]], minlength=16)), labels

    return of_graphs(Counting(), list(counted(8, 0)), list(counted(3, 1)))


class Ratings(nn.Module):
    """What users think of items, of features of both and of what each has to do with: kinds tell users from items."""

    def __init__(self):
        super().__init__()
        self.convolution, self.rate = Convolution(4, 16), mlp(32, 16, 1)

    def forward(self, x, kinds, edges):
        """Ratings (E, 1)."""
        shift = torch.tensor([[0], [int((kinds == 0).sum())]])
        both = edges + shift
        each = self.convolution(x, torch.cat([both, both.flip(0)], 1)).relu()
        return self.rate(each[both].transpose(0, 1).flatten(1))


@healthy
def users_and_items_that_are_counted_apart():
    generator = torch.Generator().manual_seed(0)
    x, kinds = torch.randn(100, 4, generator=generator), (torch.arange(100) >= 40).long()

    def ratings(n):
        """A batch of them."""
        edges = torch.stack([torch.randint(0, size, (n,), generator=generator) for size in (40, 60)])
        return (x, kinds, edges), (x[edges[0], :1] - x[edges[1] + 40, 1:2]) / 2**0.5

    model = Ratings()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    halves = ([ratings(64) for _ in range(n)] for n in (6, 2))
    return look(model, optimizer, *halves, functional.mse_loss, spread=True)


@healthy
def neighbours_that_are_drawn_behind_the_nodes_in_question():
    x, edges, labels = network(160)

    def neighbourhood(seeds):
        """Nodes in question and their neighbours, the edges between them, how far away each node is, and labels."""
        near = torch.isin(torch.arange(len(x)), edges[torch.isin(edges[:, 0], seeds), 1])
        near[seeds] = False
        nodes = torch.cat([seeds, near.nonzero().flatten()])
        places = torch.full((len(x),), -1).index_put((nodes,), torch.arange(len(nodes)))
        inner = places[edges[torch.isin(edges, seeds).any(dim=1)]]
        hops = (torch.arange(len(nodes)) >= len(seeds)).long()
        return (x[nodes], inner[(inner >= 0).all(dim=1)].t(), hops), labels[seeds]

    class Seeds(nn.Module):
        """Classes of the nodes in question."""

        def __init__(self):
            super().__init__()
            self.nodes = Nodes(8, 3)

        def forward(self, x, edges, hops):
            """Logits (B, C)."""
            return self.nodes(x, edges)[hops == 0]

    batches = [neighbourhood(seeds) for seeds in torch.arange(160).split(20)]
    return of_graphs(Seeds(), batches[:6], batches[6:])
