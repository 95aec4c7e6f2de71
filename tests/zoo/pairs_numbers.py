"""Pairs whose bug lies in what numbers mean: signs, logarithms, scales of a batch, and how many bits they have."""

from __future__ import annotations

from functools import partial

import torch
from torch import nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset, default_collate
from zoo.loops import batched, classes, classifier, look, mlp, numbers, pair, plain_step, regressor


def pairs_of_examples(n, seed):
    """Two examples each (N, 2, 8), and whether they are of one class (N,), as 0 or 1."""
    x, y = classes(2 * n, seed=seed)
    return torch.stack([x[:n], x[n:]], dim=1), (y[:n] == y[n:]).float()


def told_apart(loss_of, *, model):
    """Look at a model of pairs of examples whose loss `loss_of(output, alike)` makes of labels 0 and 1."""
    halves = [batched(*pairs_of_examples(n, seed)) for n, seed in ((256, 0), (64, 1))]
    return regressor(model, train=halves[0], val=halves[1], loss_fn=loss_of)


def signs(targets, *, bug):
    """Labels of 0 and 1 as they are, or as -1 and 1."""
    return targets if bug else 2 * targets - 1


@pair("sign_targets")
def cosines_of_pairs_told_by_0_and_1(bug):
    def loss_of(output, alike):
        return nn.CosineEmbeddingLoss(margin=0.2)(*output.unbind(1), signs(alike, bug=bug))

    return told_apart(loss_of, model=mlp(8, 16, 4))


@pair("sign_targets")
def distances_of_pairs_told_by_0_and_1(bug):
    def loss_of(output, alike):
        distance = (output[:, 0] - output[:, 1]).square().sum(1)
        return functional.hinge_embedding_loss(distance, target=signs(alike, bug=bug))

    return told_apart(loss_of, model=mlp(8, 16, 4))


@pair("sign_targets")
def ranks_of_pairs_told_by_0_and_1(bug):
    x, y = numbers(512)
    first = (y[::2] > y[1::2]).float()

    def loss_of(output, targets):
        return functional.margin_ranking_loss(*output.unbind(1), signs(targets, bug=bug), margin=0.5)

    train = batched(torch.stack([x[::2], x[1::2]], dim=1), first)
    return regressor(mlp(8, 16, 1), train=train, val=None, loss_fn=loss_of)


def counted(last, **how):
    """Look at a model of counts, with an activation behind its last layer, under a Poisson loss."""
    halves = []
    for n, seed in ((256, 0), (64, 1)):
        x, y = numbers(n, seed=seed)
        counts = torch.poisson((0.5 + 0.5 * y).exp(), generator=torch.Generator().manual_seed(seed))
        halves.append(batched(x, counts))
    model = mlp(8, 16, 1, last=last)
    return regressor(model, train=halves[0], val=halves[1], loss_fn=nn.PoissonNLLLoss(**how))


class Exp(nn.Module):
    """The exponential of its inputs."""

    def forward(self, x):
        """All above 0."""
        return x.exp()


@pair("normalized_outputs")
def a_rate_taken_for_its_logarithm(bug):
    return counted(Exp(), log_input=bug, full=True)


@pair("normalized_outputs")
def a_softplus_before_a_loss_of_logarithms(bug):
    return counted(nn.Softplus() if bug else None)


@pair("one_row_of_batch")
def the_target_of_the_first_example_for_a_whole_batch(bug):
    def collate(examples):
        inputs, targets = default_collate(examples)
        return inputs, targets[:1].expand_as(targets).clone() if bug else targets

    loader = DataLoader(TensorDataset(*numbers()), batch_size=32, shuffle=True, collate_fn=collate)
    return regressor(mlp(8, 16, 1), train=loader)


def standardised(values):
    """Numbers (B, D) with the mean and the spread of their batch."""
    return (values - values.mean(0)) / (values.std(0) + 1e-6)


@pair("standardised_batches")
def targets_standardised_where_a_batch_is_made(bug):
    def collate(examples):
        inputs, targets = default_collate(examples)
        return inputs, standardised(targets) if bug else targets

    loader = DataLoader(TensorDataset(*numbers()), batch_size=32, shuffle=True, collate_fn=collate)
    return regressor(mlp(8, 16, 1), train=loader)


@pair("standardised_batches")
def targets_standardised_where_the_loss_is_taken(bug):
    whole = numbers()
    mean, sd = whole[1].mean(), whole[1].std()

    def loss_fn(output, targets):
        return functional.mse_loss(output, standardised(targets) if bug else (targets - mean) / sd)

    loader = DataLoader(TensorDataset(*whole), batch_size=4, shuffle=True)
    return regressor(mlp(8, 16, 1), train=loader, loss_fn=loss_fn, epochs=1)


@pair("standardised_batches")
def a_table_standardised_batch_by_batch(bug):
    x, y = classes(250)
    whole = batched(standardised(x), y)
    return classifier(mlp(8, 16, 3), train=[(standardised(a), b) for a, b in batched(x, y)] if bug else whole)


def in_bfloat16(model, optimizer, **how):
    """Look at a classifier in bfloat16."""
    halves = [[(x.bfloat16(), y) for x, y in batched(*classes(n, seed=seed))] for n, seed in ((256, 0), (64, 1))]
    return look(model, optimizer, *halves, functional.cross_entropy, **how)


@pair("rounded_updates")
def weights_of_eight_bits_stepped_by_little(bug):
    model = mlp(8, 16, 3).bfloat16()
    return in_bfloat16(model, torch.optim.AdamW(model.parameters(), lr=1e-5 if bug else 5e-3))


class Momentum(torch.optim.Optimizer):
    """Gradient descent along the gradient and the one before it, of which it keeps a copy or `.grad` itself."""

    def __init__(self, parameters, *, lr, copies):
        super().__init__(parameters, {"lr": lr})
        self.copies = copies

    @torch.no_grad()
    def step(self, closure=None):
        """Take a step."""
        for group in self.param_groups:
            for parameter in group["params"]:
                last = self.state[parameter].get("last", torch.zeros_like(parameter))
                parameter.sub_(parameter.grad + 0.5 * last, alpha=group["lr"])
                self.state[parameter]["last"] = parameter.grad.clone() if self.copies else parameter.grad


def kept_gradients(*, copies, set_to_none):
    """Look at steps of an optimizer that keeps gradients, which are set to None or to 0."""
    model = mlp(8, 16, 3)
    optimizer = Momentum(model.parameters(), lr=0.05, copies=copies)

    def step(watcher, inputs, targets):
        plain_step(watcher, model, optimizer, inputs, targets, set_to_none=set_to_none)

    data = batched(*classes()), batched(*classes(64, seed=1))
    return look(model, optimizer, *data, functional.cross_entropy, step=step)


@pair("overwritten_state")
def a_state_that_is_the_gradient_itself(bug):
    return kept_gradients(copies=not bug, set_to_none=False)


@pair("choice_of_one")
def classes_chosen_among_one_logit(bug):
    model = mlp(8, 16, 1)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    x, y = classes(320, n_classes=2)
    train, val = (batched(x[half], y[half, None].float()) for half in (slice(256), slice(256, None)))

    def end(epoch):
        with torch.no_grad():
            logits = model(x[256:])
        answers = torch.max(logits, dim=1)[1] if bug else (logits > 0).long()[:, 0]
        assert bool(answers.any()) is not bug

    return look(model, optimizer, train, val, functional.binary_cross_entropy_with_logits, end=end)


@pair("constant_labels")
def masks_that_go_through_the_transform_of_images(bug):
    def drawn(n, seed):
        generator = torch.Generator().manual_seed(seed)
        masks = torch.randint(0, 3, (n, 4, 4), generator=generator).repeat_interleave(2, 1).repeat_interleave(2, 2)
        pictures = (60 * masks + torch.randint(0, 50, masks.shape, generator=generator))[:, None]
        return batched(pictures / 255, (masks / 255).long() if bug else masks)

    model = nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 3, 1))
    return classifier(model, train=drawn(64, 0), val=drawn(32, 1), intent={"n_classes": 3})


class Affinity(nn.Module):
    """A logit (B,) for each pair (B, 2) of a user and an item."""

    def __init__(self):
        super().__init__()
        self.users, self.items, self.head = nn.Embedding(24, 8), nn.Embedding(24, 8), mlp(16, 16, 1)

    def forward(self, x):
        """Of what both are like."""
        return self.head(torch.cat([self.users(x[:, 0]), self.items(x[:, 1])], dim=1)).squeeze(1)


def seen_together(*, alone):
    """Pairs (N, 2) of users and items of like interests, and as many of others unless they are `alone`; 1 and 0."""
    generator = torch.Generator().manual_seed(0)
    every = torch.cartesian_prod(torch.arange(24), torch.arange(24))[torch.randperm(576, generator=generator)]
    seen = every.sum(1) % 2 == 0
    x = every[seen] if alone else every
    return x, (x.sum(1) % 2 == 0).float()


def of_pairs(x, y, step=None):
    """Look at a model of pairs, with batches that are drawn at random."""
    model, cut = Affinity(), len(x) // 2
    train = DataLoader(TensorDataset(x[:cut], y[:cut]), batch_size=32, shuffle=True)
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-2)
    step = None if step is None else partial(step, model, optimizer)
    loss_fn = functional.binary_cross_entropy_with_logits
    return look(model, optimizer, train, batched(x[cut:], y[cut:]), loss_fn, epochs=6, step=step)


@pair("constant_labels")
def pairs_that_were_seen_together_and_no_others(bug):
    return of_pairs(*seen_together(alone=bug))


class Cosines(nn.Module):
    """Cosines (B, C) of features with a vector for each class, times a scale."""

    def __init__(self, n_classes, scale):
        super().__init__()
        self.body, self.vectors, self.scale = mlp(8, 32, 16), nn.Parameter(torch.randn(n_classes, 16)), scale

    def forward(self, x):
        """Logits in [-scale, scale]."""
        cosines = functional.linear(functional.normalize(self.body(x)), functional.normalize(self.vectors))
        return cosines if self.scale == 1 else self.scale * cosines


def of_cosines(model, n_classes):
    """Look at a classifier of some Gaussian classes."""
    halves = [batched(*classes(n, n_classes=n_classes, seed=seed)) for n, seed in ((256, 0), (64, 1))]
    return classifier(model, train=halves[0], val=halves[1], lr=3e-3, intent={"n_classes": n_classes})


@pair("unscaled_cosines")
def cosines_as_they_are_for_logits(bug):
    return of_cosines(Cosines(6, 1 if bug else 12), 6)
