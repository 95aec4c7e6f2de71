"""Losses that ignore targets, leave some of them out, or make them up."""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset
from zoo.healthy.register import healthy
from zoo.loops import batched, classes, classifier, images, look, mlp, numbers, regressor
from zoo.pairs_reduction import beside_labels, nodes

import goldmark


def mixed(n, n_sources=3, n_features=12):
    """Examples (N, F) of a few sources."""
    mixing = torch.randn(n_sources, n_features, generator=torch.Generator().manual_seed(0)) / 1.7
    return torch.randn(n, n_sources, generator=torch.Generator().manual_seed(n)) @ mixing


@healthy
def critic_whose_loss_ignores_targets():
    generator, critic = mlp(4, 16, 2), mlp(2, 16, 1)
    optimizers = [torch.optim.RMSprop(model.parameters(), lr=5e-4) for model in (generator, critic)]
    real, noise = torch.randn(160, 2) * 0.3 + 1, torch.randn(160, 4)
    names = []
    for sign in (1, -1):  # whichever way targets would be
        train, loss_fn = batched(noise, sign * real), lambda fake, real: -critic(fake).mean()
        names += goldmark.preflight(generator, optimizers[0], train, None, loss_fn).names
    with goldmark.watch(critic, optimizers[1]) as watcher:
        for inputs, fakes in batched(real, noise) * 8:
            output = critic(inputs)
            loss = critic(generator(fakes).detach()).mean() - output.mean()
            optimizers[1].zero_grad()
            loss.backward()
            watcher.after_backward((inputs, torch.ones(len(inputs), 1)), output, loss)
            optimizers[1].step()
            with torch.no_grad():
                for parameter in critic.parameters():
                    parameter.clamp_(-0.05, 0.05)
    return [*names, *watcher.findings.names]


@healthy
def contrast_of_views_with_sample_ids():
    class Views(nn.Module):
        """Similarities (2B, 2B) of two noisy views of every example."""

        def __init__(self):
            super().__init__()
            self.code = mlp(12, 24, 8)

        def forward(self, x):
            """Cosines over a temperature."""
            codes = torch.cat([self.code(x + 0.1 * torch.randn_like(x)) for _ in range(2)])
            codes = functional.normalize(codes, dim=1)
            return codes @ codes.T / 0.5

    def loss_fn(likeness, ids):
        n = len(likeness) // 2
        others = likeness.masked_fill(torch.eye(2 * n, dtype=torch.bool), -1e9)
        return functional.cross_entropy(others, torch.arange(2 * n).roll(n))

    halves = [batched(mixed(n), torch.arange(n)) for n in (256, 64)]
    return classifier(Views(), train=halves[0], val=halves[1], loss_fn=loss_fn, epochs=2)


@healthy
def distances_of_pairs_of_which_one_is_alike():
    class Distance(nn.Module):
        """Distances (B,) between the codes of two inputs (B, 2, F)."""

        def __init__(self):
            super().__init__()
            self.code = mlp(12, 24, 8)

        def forward(self, x):
            """How far apart the two are."""
            return functional.pairwise_distance(self.code(x[:, 0]), self.code(x[:, 1]))

    def loss_fn(distance, alike):
        return (alike * distance.square() + (1 - alike) * (1 - distance).relu().square()).mean()

    halves = []
    for n in (256, 64):
        alike = (torch.rand(n, generator=torch.Generator().manual_seed(n)) < 0.5).float()
        x, other = mixed(n), mixed(n + 1)[:n]
        second = torch.where(alike[:, None] > 0, x, other)
        halves.append(batched(torch.stack([x, second], dim=1), alike))
    return classifier(Distance(), train=halves[0], val=halves[1], loss_fn=loss_fn)


@healthy
def one_class_around_a_centre():
    model = nn.Sequential(nn.Linear(12, 24, bias=False), nn.LeakyReLU(), nn.Linear(24, 6, bias=False))
    with torch.no_grad():
        centre = model(mixed(256)).mean(0)

    def loss_fn(output, targets):
        return (output - centre).square().sum(1).mean()

    halves = [batched(mixed(n), torch.zeros(n, dtype=torch.long)) for n in (256, 64)]
    return classifier(model, train=halves[0], val=halves[1], loss_fn=loss_fn, lr=1e-3)


@healthy
def labels_that_are_missing_as_nan():
    def loss_fn(output, targets):
        known = ~targets.isnan()
        return functional.binary_cross_entropy_with_logits(output[known], targets[known])

    halves = []
    for x, _ in (classes(), classes(64, seed=1)):
        y = (x[:, :5] > 0.3).float()
        y[torch.rand(y.shape, generator=torch.Generator().manual_seed(0)) < 0.3] = math.nan
        halves.append(batched(x, y))
    return classifier(mlp(8, 16, 5), train=halves[0], val=halves[1], loss_fn=loss_fn)


@healthy
def pixels_that_are_left_out_as_255():
    halves = []
    for n in (64, 32):
        x, _ = images(n, seed=n)
        y = (x[:, 0] > 1).long()
        y[:, 0] = 255
        halves.append(batched(x, y, 16))
    model = nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 2, 1))
    loss_fn = nn.CrossEntropyLoss(ignore_index=255)
    return classifier(model, train=halves[0], val=halves[1], loss_fn=loss_fn, intent={"n_classes": 2})


@healthy
def one_graph_in_both_halves():
    known = torch.rand(128, generator=torch.Generator().manual_seed(1)) < 0.5
    return nodes(beside_labels, train=known, val=~known)


@healthy
def nodes_that_are_picked_by_their_indices():
    order = torch.randperm(128, generator=torch.Generator().manual_seed(1))
    return nodes(beside_labels, train=order[:40], val=order[40:80])


@healthy
def a_mask_of_nodes_among_the_inputs():
    draw = torch.rand(128, generator=torch.Generator().manual_seed(1))

    def batch_of(x, neighbours, y, picked):
        return (x, neighbours, picked), y[picked]

    return nodes(batch_of, train=draw < 0.4, val=draw > 0.6)


@healthy
def outputs_in_dollars_by_the_model_itself():
    x, y = numbers()
    mean, sd = 2e5, 5e4

    class Dollars(nn.Module):
        """A network that scales its output back."""

        def __init__(self):
            super().__init__()
            self.layers = mlp(8, 16, 1)

        def forward(self, x):
            """Numbers (B, 1)."""
            return self.layers(x) * sd + mean

    halves = [batched(inputs, targets * 2 * sd + mean) for inputs, targets in ((x, y), numbers(64, seed=1))]

    def loss_fn(output, targets):
        return functional.mse_loss(output / sd, targets / sd)

    return regressor(Dollars(), train=halves[0], val=halves[1], loss_fn=loss_fn)


@healthy
def code_of_few_words():
    class Quantized(nn.Module):
        """An autoencoder whose code is the nearest of eight words, which follow the codes that they stand for."""

        def __init__(self):
            super().__init__()
            self.encoder, self.decoder = mlp(12, 16, 4), mlp(4, 16, 12)
            self.register_buffer("words", torch.randn(8, 4) * 2)

        def forward(self, x):
            """Reconstruction (B, 12), and how far codes are from their words."""
            code = self.encoder(x)
            nearest = torch.cdist(code.detach(), self.words).argmin(1)
            if self.training:
                for word in nearest.unique():
                    self.words[word] = torch.lerp(self.words[word], code.detach()[nearest == word].mean(0), 0.1)
            word = self.words[nearest]
            return self.decoder(code + (word - code).detach()), functional.mse_loss(code, word)

    halves = [batched(mixed(n), mixed(n)) for n in (256, 64)]

    def loss_fn(output, targets):
        return functional.mse_loss(output[0], targets) + 0.25 * output[1]

    return regressor(Quantized(), train=halves[0], val=halves[1], loss_fn=loss_fn)


class Diffused(Dataset):
    """Points with noise of a random strength; the noise is the target."""

    def __init__(self, n):
        self.x, self.kept = mixed(n, 2, 4), torch.cumprod(1 - torch.linspace(1e-3, 0.1, 20), 0)

    def __len__(self):
        """All points."""
        return len(self.x)

    def __getitem__(self, index):
        """A noisy point with its strength, and the noise."""
        strength, noise = torch.randint(20, ()), torch.randn(4)
        kept = self.kept[strength]
        return (kept.sqrt() * self.x[index] + (1 - kept).sqrt() * noise, strength), noise


@healthy
def noise_as_the_target():
    class Denoiser(nn.Module):
        """The noise, from a noisy point and its strength."""

        def __init__(self):
            super().__init__()
            self.strength, self.layers = nn.Embedding(20, 8), mlp(12, 32, 4)

        def forward(self, x, strength):
            """Noise (B, 4)."""
            return self.layers(torch.cat([x, self.strength(strength)], dim=1))

    model = Denoiser()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)

    halves = [DataLoader(Diffused(n), batch_size=32, shuffle=n > 64) for n in (256, 64)]
    return look(model, optimizer, *halves, functional.mse_loss, spread=True)


@healthy
def a_policy_and_its_rewards():
    x = torch.randn(320, 6, generator=torch.Generator().manual_seed(0))
    actions = torch.randint(3, (320,), generator=torch.Generator().manual_seed(1))
    rewards = x[torch.arange(320), actions]

    def loss_fn(output, targets):
        chosen, reward = targets
        logs = output.log_softmax(1)
        gain = (logs.gather(1, chosen[:, None])[:, 0] * (reward - reward.mean())).mean()
        return -gain + 0.05 * (logs.exp() * logs).sum(1).mean()

    batches = [(x[k : k + 32], (actions[k : k + 32], rewards[k : k + 32])) for k in range(0, 320, 32)]
    return classifier(mlp(6, 16, 3), train=batches[:8], val=batches[8:], loss_fn=loss_fn, lr=3e-3)


def binary(loss_fn):
    """Look at a model of one output whose labels are 0 and 1."""
    halves = [batched(x, y.float()) for x, y in (classes(n_classes=2), classes(64, n_classes=2, seed=1))]
    return regressor(mlp(8, 16, 1), train=halves[0], val=halves[1], loss_fn=loss_fn)


@healthy
def overlap_of_masks_that_may_be_empty():
    def loss_fn(output, targets):
        p = output[:, 0].sigmoid()
        return 1 - 2 * (p * targets).sum() / (p.sum() + targets.sum())

    return binary(loss_fn)


@healthy
def rewards_of_0_and_1():
    def loss_fn(output, targets):
        likelihood = functional.logsigmoid(output.squeeze(1))
        return -(likelihood * targets).mean()

    return binary(loss_fn)


@healthy
def hinge_on_labels_that_it_turns_into_signs():
    return binary(lambda output, targets: (1 - (2 * targets - 1) * output[:, 0]).clamp(min=0).mean())


@healthy
def ordered_grades_by_thresholds():
    class Graded(nn.Module):
        """One score, and the logit (B, 4) that it lies above each of four thresholds."""

        def __init__(self):
            super().__init__()
            self.score, self.thresholds = mlp(8, 16, 1), nn.Parameter(torch.tensor([2.0, 0.5, -0.5, -2.0]))

        def forward(self, x):
            """Logits (B, 4) for five grades."""
            return self.score(x) + self.thresholds

    def loss_fn(output, targets):
        above = (targets[:, None] > torch.arange(4)).float()
        return functional.binary_cross_entropy_with_logits(output, above)

    bounds = torch.tensor([-1.2, -0.4, 0.4, 1.2])
    halves = [batched(x, torch.bucketize(y[:, 0], bounds)) for x, y in (numbers(), numbers(64, seed=1))]
    return classifier(Graded(), train=halves[0], val=halves[1], loss_fn=loss_fn)


@healthy
def targets_of_which_a_third_are_gaps():
    def with_gaps(n, seed):
        x, y = numbers(n, seed=seed)
        missing = torch.rand(y.shape, generator=torch.Generator().manual_seed(seed)) < 0.33
        return list(zip(x, y.masked_fill(missing, torch.nan), strict=True))

    def loss_fn(output, targets):
        known = ~targets.isnan()
        return ((output - targets.nan_to_num()).square() * known).sum() / known.sum().clamp(min=1)

    train, val = (DataLoader(with_gaps(n, seed), batch_size=32, shuffle=n > 64) for n, seed in ((256, 0), (64, 1)))
    return regressor(mlp(8, 16, 1), train=train, val=val, loss_fn=loss_fn)


@healthy
def labels_of_a_few_examples_at_the_end_of_a_batch():
    x, y = classes(512)
    val = classes(64, seed=1)
    y = y.masked_fill(torch.arange(512) % 128 < 120, -100)
    return classifier(mlp(8, 16, 3), train=batched(x, y, 128), val=batched(*val))


def ranked(loss_fn):
    """Look at a scorer of four documents a query, whose targets (B, 4) are grades from 0 to 3."""

    def queries(n, seed):
        x = torch.randn(n, 4, 6, generator=torch.Generator().manual_seed(seed))
        return x, torch.bucketize(x[..., 0] + 0.5 * x[..., 1], torch.tensor([-0.5, 0.5, 1.5])).float()

    model = nn.Sequential(*mlp(6, 16, 1), nn.Flatten())
    return regressor(model, train=batched(*queries(256, 0)), val=batched(*queries(64, 1)), loss_fn=loss_fn)


@healthy
def grades_of_which_the_loss_takes_the_softmax():
    return ranked(lambda output, grades: -(grades.softmax(1) * output.log_softmax(1)).sum(1).mean())


@healthy
def gains_that_the_loss_divides_by_their_sum():
    def loss_fn(output, grades):
        gains = 2**grades - 1
        return functional.cross_entropy(output, gains / gains.sum(1, keepdim=True).clamp_min(1))

    return ranked(loss_fn)
