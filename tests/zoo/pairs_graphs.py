"""Pairs whose inputs are graphs: features of nodes, and edges (2, E) of their indices."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional
from zoo.loops import look, pair


class Convolution(nn.Module):
    """What a node says, and the mean of what the nodes say from which an edge leads to it."""

    def __init__(self, n_in, n_out):
        super().__init__()
        self.own, self.others = nn.Linear(n_in, n_out), nn.Linear(n_in, n_out, bias=False)

    def forward(self, x, edges):
        """Features (N, H) of nodes."""
        source, target = edges
        total = torch.zeros_like(x).index_add(0, target, x[source])
        degree = torch.bincount(target, minlength=len(x)).clamp(min=1)
        return self.own(x) + self.others(total / degree[:, None])


class Nodes(nn.Module):
    """Classes of the nodes of a graph."""

    def __init__(self, n_features, n_classes):
        super().__init__()
        self.first, self.last = Convolution(n_features, 16), Convolution(16, n_classes)

    def forward(self, x, edges):
        """Logits (N, C)."""
        return self.last(self.first(x, edges).relu(), edges)


class Graphs(nn.Module):
    """Two classes of graphs that were joined to one batch, of which each has features of its nodes."""

    def __init__(self, n_features=2, n_classes=2):
        super().__init__()
        self.nodes, self.last = Nodes(n_features, 16), nn.Linear(16, n_classes)

    def forward(self, x, edges, graphs):
        """Logits (B, 2)."""
        each = self.nodes(x, edges).relu()
        total = each.new_zeros(int(graphs.max()) + 1, 16).index_add(0, graphs, each)
        return self.last(total / torch.bincount(graphs)[:, None])


def network(n=120, n_classes=3, seed=0):
    """Nodes of noisy features (N, 8), most of which know their like: those, edges (E, 2) both ways, classes (N,)."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, n_classes, (n,), generator=generator)
    x = torch.randn(n, 8, generator=generator) + functional.one_hot(labels, 8)
    likely = torch.where(labels[:, None] == labels, 0.1, 0.01).triu(1)
    known = torch.rand(n, n, generator=generator) < likely
    return x, (known | known.t()).nonzero(), labels


def of_nodes(x, edges, labels):
    """Look at a network that learns the classes of some nodes."""
    train = torch.rand(len(x), generator=torch.Generator().manual_seed(1)) < 0.5

    def loss_fn(output, targets):
        labels, mask = targets
        return functional.cross_entropy(output[mask], labels[mask])

    model = Nodes(x.shape[1], 3)
    halves = ([((x, edges), (labels, mask))] for mask in (train, ~train))
    return look(model, torch.optim.Adam(model.parameters(), lr=1e-2), *halves, loss_fn, epochs=12, spread=True)


@pair("viewed_edges")
def a_list_of_edges_that_is_viewed_as_two_rows(bug):
    x, edges, labels = network()
    return of_nodes(x, edges.reshape(2, -1) if bug else edges.t(), labels)


def small_graph(generator):
    """A graph of nodes of two colours, of which like ones know each other or unlike ones: x (N, 2), edges, label."""
    n, label = int(torch.randint(8, 14, (), generator=generator)), int(torch.randint(0, 2, (), generator=generator))
    colour = torch.arange(n) % 2
    known = (torch.rand(n, n, generator=generator) < 0.4).triu(1) & ((colour[:, None] == colour) == bool(label))
    x = functional.one_hot(colour, 2) + 0.1 * torch.randn(n, 2, generator=generator)
    return x, (known | known.t()).nonzero().t(), label


def joined(graphs, *, shifted):
    """A batch of graphs: nodes, edges and the graph of each node, and labels."""
    xs, edges, labels = zip(*graphs, strict=True)
    sizes = torch.tensor([len(x) for x in xs])
    starts = (sizes.cumsum(0) - sizes).tolist()
    moved = [one + start if shifted else one for one, start in zip(edges, starts, strict=True)]
    return (torch.cat(xs), torch.cat(moved, 1), torch.arange(len(xs)).repeat_interleave(sizes)), torch.tensor(labels)


def batches_of_graphs(n=8, seed=0, *, shifted=True):
    """Batches of 16 small graphs."""
    generator = torch.Generator().manual_seed(seed)
    return [joined([small_graph(generator) for _ in range(16)], shifted=shifted) for _ in range(n)]


def of_graphs(model, train, val, **how):
    """Look at a network that learns the classes of graphs."""
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    return look(model, optimizer, train, val, functional.cross_entropy, spread=True, **how)


@pair("unshifted_edges")
def graphs_that_are_joined_without_offsets(bug):
    halves = (batches_of_graphs(n, seed, shifted=not bug) for n, seed in ((8, 0), (3, 1)))
    return of_graphs(Graphs(), *halves)
