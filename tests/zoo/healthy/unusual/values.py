"""Inputs and targets of few values, of long tails, and pictures in a table: what agrees or differs by chance."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional
from zoo.healthy.register import healthy
from zoo.loops import batched, classes, classifier, mlp, numbers, regressor, watch_steps
from zoo.pairs_numbers import standardised


def rings(n, seed):
    """Pictures of a ring in one of three sizes, in a table (N, 100) of 8 levels, and the sizes (N,)."""
    generator = torch.Generator().manual_seed(seed)
    sizes = torch.randint(0, 3, (n,), generator=generator)
    rows, columns = torch.meshgrid(torch.arange(10.0), torch.arange(10.0), indexing="ij")
    centres = 4.5 + 0.4 * torch.randn(n, 2, 1, 1, generator=generator)
    distance = ((rows - centres[:, 0]) ** 2 + (columns - centres[:, 1]) ** 2).sqrt()
    bright = (1.2 - (distance - 1.3 - 0.9 * sizes[:, None, None]).abs()).clamp(0, 1)
    noise = 0.15 * torch.randn(n, 10, 10, generator=generator) * (bright > 0)
    return ((bright + noise).clamp(0, 1) * 7).round().flatten(1), sizes


@healthy
def pictures_of_few_levels_in_a_table():
    halves = [batched(x / 3.5 - 1, y) for x, y in (rings(320, 0), rings(96, 1))]
    return classifier(mlp(100, 32, 3), train=halves[0], val=halves[1], lr=3e-3)


@healthy
def pictures_where_bright_is_the_ground():
    halves = [batched(2.5 - x / 2, y) for x, y in (rings(320, 2), rings(96, 3))]
    return classifier(mlp(100, 32, 3), train=halves[0], val=halves[1], lr=3e-3)


@healthy
def a_few_claims_that_are_a_hundred_times_as_large():
    halves = []
    for n, seed, large in ((256, 4, ()), (64, 5, (7, 30))):
        x, y = numbers(n, seed=seed)
        y[list(large)] = 80.0
        halves.append(batched(x, y))
    return regressor(mlp(8, 16, 1), train=halves[0], val=halves[1], loss_fn=functional.smooth_l1_loss)


@healthy
def subjects_on_a_scale_of_their_own():
    x, y = numbers()
    subjects = [(a, standardised(b)) for a, b in batched(x, y)]
    return regressor(
        mlp(8, 16, 1), train=subjects, val=[(a, standardised(b)) for a, b in batched(*numbers(64, seed=1))]
    )


@healthy
def batches_with_as_many_of_each_sign():
    x, y = numbers(240)
    order = y.flatten().argsort()
    mixed = torch.stack([order[:120], order[120:]], dim=1).flatten()
    return regressor(mlp(8, 16, 1), train=batched(x[mixed], (y[mixed] > y.median()) * 2.0 - 1), val=None)


@healthy
def a_stream_of_one_example_each():
    x, y = numbers(400)
    return regressor(mlp(8, 16, 1), train=batched(x, y + 1, size=1), val=None, epochs=1, lr=1e-3)


@healthy
def windows_of_a_trend_that_the_model_takes_out():
    class Reversible(nn.Module):
        """The next steps of a window, which is brought to mean 0 and sd 1 by itself, and the steps back."""

        def __init__(self):
            super().__init__()
            self.layers = mlp(16, 32, 4)

        def forward(self, x):
            """Steps (B, 4)."""
            mean, spread = x.mean(1, keepdim=True), x.std(1, keepdim=True) + 1e-5
            return self.layers((x - mean) / spread) * spread + mean

    time = torch.arange(1200.0)
    noise = 0.3 * torch.randn(1200, generator=torch.Generator().manual_seed(0))
    series = 3 * torch.sin(time / 7) + time / 50 + noise
    windows = series.unfold(0, 20, 3)
    order = torch.randperm(290, generator=torch.Generator().manual_seed(1))
    train, val = (batched(half[:, :16], half[:, 16:]) for half in (windows[order], windows[300:]))
    return regressor(Reversible(), train=train, val=val, lr=3e-3)


@healthy
def a_contrast_whose_match_comes_first():
    class Contrast(nn.Module):
        """Likeness (B, 13) of the codes of two views of an example, and of those of 12 others that are kept."""

        def __init__(self):
            super().__init__()
            self.code = mlp(8, 16, 6)
            self.register_buffer("kept", functional.normalize(torch.randn(12, 6), dim=1))

        def forward(self, x):
            """Cosines over a temperature."""
            codes, others = (functional.normalize(self.code(x + 0.1 * torch.randn_like(x)), dim=1) for _ in range(2))
            return torch.cat([(codes * others).sum(1, keepdim=True), codes @ self.kept.T], dim=1) / 0.5

    halves = [batched(x, torch.zeros(len(x), dtype=torch.long)) for x in (numbers()[0], numbers(64, seed=1)[0])]
    return classifier(Contrast(), train=halves[0], val=halves[1])


@healthy
def a_patch_that_makes_a_frozen_classifier_say_one_class():
    class Patched(nn.Module):
        """Logits of a classifier that is not trained, for inputs to which one patch is added."""

        def __init__(self):
            super().__init__()
            self.patch, self.frozen = nn.Parameter(torch.zeros(8)), mlp(8, 16, 3).requires_grad_(False)

        def forward(self, x):
            """Logits (B, 3)."""
            return self.frozen(x + self.patch)

    halves = [batched(x, torch.ones_like(y)) for x, y in (classes(), classes(64, seed=1))]
    return classifier(Patched(), train=halves[0], val=halves[1])


@healthy
def pictures_of_which_few_have_a_spot():
    halves = []
    for n, seed in ((96, 6), (48, 7)):  # none of these, as it happens
        pictures = torch.randn(n, 1, 8, 8, generator=torch.Generator().manual_seed(seed))
        halves.append(batched(pictures, torch.zeros(n, 8, 8, dtype=torch.long)))
    model = nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 2, 1))
    return classifier(model, train=halves[0], val=halves[1], epochs=1)


def of_one_context(answer_of, n_outputs=4):
    """Watch a model of contexts, of which each batch has one: (targets, loss) are what `answer_of(outputs)` gives."""
    model = mlp(3, 16, n_outputs)

    def step_of():
        inputs = torch.randn(1, 3).repeat(16, 1)
        outputs = model(inputs)
        targets, loss = answer_of(outputs, inputs)
        return (inputs, targets), outputs, loss, None

    return watch_steps(model, step_of, lr=1e-3)


@healthy
def several_actions_in_one_context():
    def answer_of(logits, inputs):
        choice = torch.distributions.Categorical(logits=logits)
        actions = choice.sample()
        rewards = inputs[:, 0] * (actions - 1.5) + 0.1 * torch.randn(16)
        return rewards, -(choice.log_prob(actions) * (rewards - rewards.mean())).mean()

    return of_one_context(answer_of)


@healthy
def the_value_of_each_action_in_one_context():
    def answer_of(values, inputs):
        actions = torch.arange(16) % 4
        rewards = inputs[:, 0] * (actions - 1.5)
        return rewards, functional.mse_loss(values.gather(1, actions[:, None]).squeeze(1), rewards)

    return of_one_context(answer_of)


@healthy
def several_rollouts_from_each_state():
    model = mlp(3, 16, 1)

    def step_of():
        states = torch.randn(1, 3).expand(16, 3)
        returns = states[:, :1] + 0.5 * torch.randn(16, 1)
        output = model(states)
        return (states, returns), output, functional.mse_loss(output, returns), None

    return watch_steps(model, step_of, lr=1e-3)


@healthy
def a_decoder_that_is_fed_with_a_constant():
    model, constant = mlp(4, 16, 8), torch.randn(1, 4).expand(32, 4)

    def step_of():
        targets = torch.randn(32, 8) + 1
        output = model(constant)
        return (constant, targets), output, functional.mse_loss(output, targets), None

    return watch_steps(model, step_of, lr=1e-2)
