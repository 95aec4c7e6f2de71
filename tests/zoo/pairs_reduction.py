"""Pairs whose bug lies in what a loss is given or in how it adds up, and in copies that both halves hold."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional
from zoo.loops import Backbone, Variational, batched, classes, classifier, images, look, mlp, pair, regressor


@pair("probability_targets")
def masks_of_0_and_255(bug):
    pictures, _ = images()
    masks = (pictures > 0.5).float() * (255 if bug else 1)
    model = nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 1, 3, padding=1))
    loss_fn = functional.binary_cross_entropy_with_logits
    return regressor(
        model, train=batched(pictures[:96], masks[:96]), val=batched(pictures[96:], masks[96:]), loss_fn=loss_fn
    )


@pair("mixed_reduction")
def a_divergence_summed_over_the_batch(bug):
    def loss_fn(output, targets):
        reconstruction, mean, log_variance = output
        divergence = -0.5 * (1 + log_variance - mean.square() - log_variance.exp())
        divergence = divergence.sum() if bug else divergence.sum(dim=1).mean()
        return functional.mse_loss(reconstruction, targets) + 0.01 * divergence

    halves = [batched(x, x) for x, _ in (classes(), classes(64, seed=1))]
    return regressor(Variational(), train=halves[0], val=halves[1], loss_fn=loss_fn)


@pair("divergence_weight")
def a_reconstruction_averaged_over_elements(bug):
    def loss_fn(output, targets):
        reconstruction, mean, log_variance = output
        divergence = -0.5 * (1 + log_variance - mean.square() - log_variance.exp()).sum() / len(targets)
        errors = functional.mse_loss(reconstruction, targets, reduction="mean" if bug else "sum")
        return (errors if bug else errors / len(targets)) + divergence

    halves = [batched(x.flatten(1), x.flatten(1)) for x, _ in (images(), images(64, seed=1))]
    return regressor(Variational(64), train=halves[0], val=halves[1], loss_fn=loss_fn, lr=1e-3)


def imbalanced(n, seed, share=0.2):
    """Examples of two classes, of which the second has a share."""
    x, y = classes(4 * n, n_classes=2, seed=seed)
    rare = int(share * n)
    kept = torch.cat([(y == 0).nonzero()[: n - rare], (y == 1).nonzero()[:rare]]).flatten()
    kept = kept[torch.randperm(n, generator=torch.Generator().manual_seed(seed))]
    return x[kept], y[kept]


@pair("class_weights")
def class_weights_in_the_wrong_order(bug):
    weight = torch.tensor([0.8, 0.2] if bug else [0.2, 0.8])
    loss_fn = nn.CrossEntropyLoss(weight=weight)
    return classifier(
        mlp(8, 16, 2), train=batched(*imbalanced(256, 0)), val=batched(*imbalanced(64, 1)), loss_fn=loss_fn
    )


@pair("class_weights")
def a_weight_of_the_negative_labels_as_pos_weight(bug):
    loss_fn = nn.BCEWithLogitsLoss(pos_weight=torch.tensor(0.25 if bug else 4.0))
    halves = [batched(x, y.float()[:, None]) for x, y in (imbalanced(256, 0), imbalanced(64, 1))]
    return regressor(mlp(8, 16, 1), train=halves[0], val=halves[1], loss_fn=loss_fn)


@pair("overlap")
def rare_examples_repeated_before_the_split(bug):
    def repeated(x, y):
        again = (y == 1).nonzero().flatten().repeat(3)
        return torch.cat([x, x[again]]), torch.cat([y, y[again]])

    x, y = imbalanced(320, 0)
    if bug:
        x, y = repeated(x, y)
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(4))
    kept, held = order[len(x) // 5 :], order[: len(x) // 5]
    train = (x[kept], y[kept]) if bug else repeated(x[kept], y[kept])
    shuffled = torch.randperm(len(train[0]), generator=torch.Generator().manual_seed(5))
    return classifier(mlp(8, 16, 2), train=batched(*(one[shuffled] for one in train)), val=batched(x[held], y[held]))


@pair("frozen_parameters_move")
def a_module_frozen_by_a_wrong_attribute(bug):
    model = mlp(8, 16, 16, 3)
    for parameter in model[0].parameters():
        setattr(parameter, "require_grad" if bug else "requires_grad", False)
    optimizer = torch.optim.Adam([one for one in model.parameters() if one.requires_grad], lr=1e-2)
    how = {"intent": {"frozen": [model[0]]}}
    return look(model, optimizer, batched(*classes()), batched(*classes(64, seed=1)), functional.cross_entropy, **how)


@pair("frozen_parameters_move")
def running_statistics_of_what_a_preflight_knows_to_be_frozen(bug):
    model = Backbone(stays_in_eval=not bug)
    optimizer = torch.optim.Adam(model.head.parameters(), lr=1e-2)
    how = {"intent": {"frozen": model.backbone.parameters()}}
    return look(model, optimizer, batched(*classes()), batched(*classes(64, seed=1)), functional.cross_entropy, **how)


class Graph(nn.Module):
    """Two layers that average over neighbours."""

    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Linear(8, 16), nn.Linear(16, 3)

    def forward(self, x, neighbours, picked=None):
        """Logits (N, 3) of all nodes, or of those that are picked."""
        logits = self.last(neighbours @ self.first(neighbours @ x).relu())
        return logits if picked is None else logits[picked]


def nodes(batch_of, *, train, val):
    """Look at a graph of which `train` and `val` pick nodes; `batch_of(x, neighbours, y, picked)` makes a batch."""
    x, y = classes(128)
    neighbours = (y[:, None] == y) & (torch.rand(128, 128, generator=torch.Generator().manual_seed(0)) < 0.2)
    neighbours = (neighbours | torch.eye(128, dtype=torch.bool)).float()
    neighbours /= neighbours.sum(1, keepdim=True)

    def loss_fn(output, targets):
        labels, picked = targets if isinstance(targets, tuple) else (targets, slice(None))
        return functional.cross_entropy(output[picked], labels[picked])

    halves = [[batch_of(x, neighbours, y, picked)] for picked in (train, val)]
    return classifier(Graph(), train=halves[0], val=halves[1], loss_fn=loss_fn, epochs=40, spread=True)


def beside_labels(x, neighbours, y, picked):
    """A batch of the whole graph, whose loss reads the labels that are picked."""
    return (x, neighbours), (y, picked)


@pair("overlap")
def a_random_mask_of_nodes_for_each_half(bug):
    train, other = (torch.rand(128, generator=torch.Generator().manual_seed(seed)) < 0.4 for seed in (1, 2))
    return nodes(beside_labels, train=train, val=other if bug else other & ~train)
