"""Losses that compare several views: what keeps the embeddings apart lies in the loss, in the model, or elsewhere."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils import parametrizations
from zoo.healthy.register import healthy
from zoo.loops import batched, classes, follow, look, mlp, watch_steps
from zoo.pairs_views import Bootstrap, Codes, Siamese, distance_of_directions, itself, of_views, views


class Twins(nn.Module):
    """Codes (B, 16) of several views."""

    def __init__(self, code=None):
        super().__init__()
        self.code = code or mlp(8, 32, 16)

    def forward(self, *inputs):
        """One for each view."""
        return tuple(map(self.code, inputs))


def distance(codes, ids):
    """The mean squared distance of two views."""
    return functional.mse_loss(*codes)


@healthy
def a_target_network_that_gets_a_gradient_and_takes_no_step():
    model = Bootstrap(trained=True)
    optimizer = torch.optim.Adam([*model.code.parameters(), *model.predict.parameters()], lr=1e-3)

    def step(watcher, inputs, ids):
        output = model(*inputs)
        loss = distance_of_directions(output, ids)
        model.zero_grad()
        loss.backward()
        watcher.after_backward((inputs, ids), output, loss)
        optimizer.step()
        follow(model.target, model.code)

    how = {"intent": {"frozen": [model.target]}, "step": step}
    return look(model, optimizer, views(), views(64, 1), distance_of_directions, **how)


@healthy
def variance_and_covariance_beside_the_distance():
    def apart(code):
        centred = code - code.mean(0)
        products = centred.T @ centred / (len(code) - 1)
        spread = (products.diagonal() + 1e-4).sqrt()
        return 25 * (1 - spread).relu().mean() + products[~itself(len(products))].square().sum() / len(products)

    return of_views(Twins(), lambda codes, ids: 25 * distance(codes, ids) + sum(map(apart, codes)))


@healthy
def correlations_of_two_views():
    def loss_fn(codes, ids):
        first, second = ((code - code.mean(0)) / (code.std(0) + 1e-4) for code in codes)
        products = first.T @ second / len(first)
        return (products.diagonal() - 1).square().sum() + 0.02 * products[~itself(len(products))].square().sum()

    return of_views(Twins(), loss_fn)


def whitened(*views):
    """Codes of several views, of mean 0 and variance 1 in all directions over a batch of all."""
    codes = torch.cat(views)
    codes = codes - codes.mean(0)
    root = torch.linalg.cholesky(codes.T @ codes / len(codes) + 1e-4 * torch.eye(codes.shape[1]))
    return torch.linalg.solve_triangular(root, codes.T, upper=False).T.chunk(len(views))


@healthy
def the_distance_of_codes_that_the_loss_whitens():
    return of_views(Twins(mlp(8, 32, 4)), lambda codes, ids: distance(whitened(*codes), ids))


@healthy
def the_distance_of_codes_that_the_model_whitens():
    class Whitening(Twins):
        """Codes that are whitened in training."""

        def forward(self, *inputs):
            """One for each view."""
            codes = super().forward(*inputs)
            return whitened(*codes) if self.training else codes

    return of_views(Whitening(mlp(8, 32, 4)), distance)


@healthy
def the_distance_of_codes_that_the_loss_standardises():
    def loss_fn(codes, ids):
        return distance([(code - code.mean(0)) / (code.std(0) + 1e-5) for code in codes], ids)

    return of_views(Twins(), loss_fn)


@healthy
def the_distance_of_codes_that_a_batch_norm_keeps_apart():
    code = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 16), nn.BatchNorm1d(16, affine=False))
    return of_views(Twins(code), distance)


@healthy
def slow_features_along_orthogonal_directions():
    code = parametrizations.orthogonal(nn.Linear(8, 4, bias=False))
    return of_views(Twins(code), distance)


@healthy
def views_that_agree_beside_labels_from_elsewhere():
    model, head = Twins(), nn.Linear(16, 3)
    model.head = head
    x, y = classes(32, seed=5)

    def loss_fn(codes, ids):
        return distance(codes, ids) + functional.cross_entropy(head(model.code(x)), y)

    return of_views(model, loss_fn)


@healthy
def triplets_of_two_views_and_another_example():
    def loss_fn(codes, ids):
        near, far = distance(codes, ids), (codes[0] - codes[1].roll(1, 0)).square().mean()
        return (near - far + 0.5).relu()

    return of_views(Twins(), loss_fn)


@healthy
def anchors_with_a_near_and_a_far_example():
    batches, held_out = (
        [((*inputs, inputs[1].roll(1, 0)), ids) for inputs, ids in views(n, seed)] for n, seed in ((256, 0), (64, 1))
    )
    model = Twins()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)

    def loss_fn(codes, ids):
        return functional.triplet_margin_loss(*codes, margin=0.5)

    return look(model, optimizer, batches, held_out, loss_fn, spread=True)


@healthy
def alignment_and_uniformity():
    def uniformity(code):
        return torch.pdist(code).square().mul(-2).exp().mean().log()

    def loss_fn(codes, ids):
        first, second = (functional.normalize(code, dim=1) for code in codes)
        return (first - second).square().sum(1).mean() + (uniformity(first) + uniformity(second)) / 2

    return of_views(Twins(), loss_fn)


@healthy
def similarities_without_the_diagonal():
    def loss_fn(codes, ids):
        n = len(codes)
        codes = functional.normalize(codes, dim=1)
        others = (codes @ codes.T / 0.2)[~itself(n)].view(n, n - 1)
        pairs = torch.arange(n).roll(n // 2)
        return functional.cross_entropy(others, pairs - (pairs > torch.arange(n)).long())

    return of_views(Codes(), loss_fn)


@healthy
def two_passes_of_one_text_that_are_the_same_without_dropout():
    def loss_fn(codes, ids):
        first, second = (functional.normalize(code, dim=1) for code in codes)
        return functional.cross_entropy(first @ second.T / 0.2, torch.arange(len(ids)))

    batches, held_out = ([((a, a.clone()), ids) for (a, _), ids in views(n, seed)] for n, seed in ((256, 0), (64, 1)))
    model = Twins()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    return look(model, optimizer, batches, held_out, loss_fn, spread=True)


@healthy
def as_many_classes_as_examples_in_a_batch():
    halves = [batched(*classes(n, n_classes=32, seed=n)) for n in (512, 256)]
    model = mlp(8, 64, 32)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    return look(model, optimizer, *halves, functional.cross_entropy)


@healthy
def codes_that_are_detached_by_the_model():
    class Stopped(Siamese):
        """Predictions and codes, of which the latter hand no gradient on."""

        def forward(self, a, b):
            """All four."""
            *predicted, first, second = super().forward(a, b)
            return *predicted, first.detach(), second.detach()

    def loss_fn(output, ids):
        first, second, *codes = output
        return -sum(functional.cosine_similarity(*two).mean() for two in ((first, codes[1]), (second, codes[0]))) / 2

    return of_views(Stopped(), loss_fn)


def in_steps(model, loss_of, *, lr=1e-3):
    """Train on `loss_of(codes, step)` of two views without a preflight, and return the names of findings."""
    batches, steps = views() * 5, iter(range(40))

    def step_of():
        inputs, _ = batches.pop()
        codes = model(*inputs)
        return (inputs, None), codes, loss_of(codes, next(steps)), None

    return watch_steps(model, step_of, lr=lr)


@healthy
def pairs_that_are_alike_and_pairs_that_are_not_by_turns():
    def loss_of(codes, step):
        other = codes[1].roll(step % 2, 0)
        return functional.cosine_embedding_loss(codes[0], other, torch.full((len(other),), 1 - 2 * (step % 2)))

    return in_steps(Twins(), loss_of, lr=1e-2)


@healthy
def a_likeness_that_people_have_told():
    told = torch.linspace(0.8, 1, 32)
    return in_steps(Twins(), lambda codes, step: (functional.cosine_similarity(*codes) - told).square().mean(), lr=1e-2)


@healthy
def signals_that_are_laid_upon_each_other():
    class Aligned(nn.Module):
        """Two recordings (B, 8), each with an offset for every sensor."""

        def __init__(self):
            super().__init__()
            self.shifts = nn.Parameter(torch.randn(2, 8))

        def forward(self, a, b):
            """Both, where they should be one."""
            return a + self.shifts[0], b + self.shifts[1]

    return in_steps(Aligned(), lambda both, step: functional.mse_loss(*both), lr=5e-2)
