"""Pairs in which what meets constants of the loss, as labels, noise or returns, is not what should."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional
from zoo.loops import batched, classes, classifier, mlp, numbers, pair, watch_steps


@pair("softmax_across_targets")
def a_softmax_over_the_batch(bug):
    """Logits (B, V, C) of two views, and labels of each."""
    (x, y), (val_x, val_y) = (classes(n, seed=seed) for n, seed in ((256, 0), (64, 1)))

    def loss_fn(output, targets):
        labels = functional.one_hot(targets, 3).float().unsqueeze(1).expand_as(output)
        return -(labels * output.log_softmax(dim=0 if bug else -1)).sum(dim=-1).mean()

    halves = [batched(torch.stack([a, a], dim=1), b) for a, b in ((x, y), (val_x, val_y))]
    return classifier(mlp(8, 16, 3), train=halves[0], val=halves[1], loss_fn=loss_fn)


class Coder(nn.Module):
    """A variational autoencoder: reconstruction (B, 8), mean and `spread` (B, 2), and what the noise is scaled by."""

    def __init__(self, scale):
        super().__init__()
        self.encode, self.decode, self.scale = mlp(8, 16, 4), mlp(2, 16, 8), scale

    def forward(self, x):
        """Draw a code and decode it."""
        mean, spread = self.encode(x).chunk(2, dim=1)
        return self.decode(mean + torch.randn_like(mean) * self.scale(spread)), mean, spread


def gaussian(mean, log_variance):
    """Divergences (B, 2) from N(0, 1)."""
    return -0.5 * (1 + log_variance - mean.square() - log_variance.exp())


def coded(scale, divergence=gaussian):
    """Train an autoencoder whose noise is scaled by `scale(spread)`."""
    x, _ = numbers()
    model = Coder(scale)

    def step_of():
        output = model(x[:32])
        loss = functional.mse_loss(output[0], x[:32], reduction="sum") / 32 + divergence(*output[1:]).sum() / 32
        return (x[:32], x[:32]), output, loss, None

    return watch_steps(model, step_of, lr=1e-3, n_steps=8)


@pair("deviation_of_noise")
def noise_times_the_variance(bug):
    return coded(torch.exp if bug else lambda log_variance: (0.5 * log_variance).exp())


class ActorAndCritic(nn.Module):
    """Logits of three actions and the value (B,) of a state (B, 4), by heads on the same features."""

    def __init__(self):
        super().__init__()
        self.body, self.actor, self.critic = mlp(4, 16, last=nn.Tanh()), nn.Linear(16, 3), nn.Linear(16, 1)

    def forward(self, states):
        """Logits, and values of any size."""
        features = self.body(states)
        return self.actor(features), self.critic(features).squeeze(-1)


def weighed(loss_of):
    """Train on `loss_of(log_probs, values, returns)` of one-step episodes."""
    model = ActorAndCritic()

    def step_of():
        states = torch.randn(32, 4)
        logits, values = model(states)
        choices = torch.distributions.Categorical(logits=logits)
        actions = choices.sample()
        returns = (actions == states[:, :3].argmax(dim=1)).float() - 0.3
        return None, None, loss_of(choices.log_prob(actions), values, returns), None

    return watch_steps(model, step_of, lr=1e-3, n_steps=16)


@pair("advantage_with_gradient")
def an_advantage_that_is_not_detached(bug):
    def loss_of(log_probs, values, returns):
        advantages = returns - (values if bug else values.detach())
        return functional.mse_loss(values, returns) - (advantages * log_probs).mean()

    return weighed(loss_of)
