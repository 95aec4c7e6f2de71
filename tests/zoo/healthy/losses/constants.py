"""Constants that meet a softmax, an exponential or a value in the way of a bug, and are meant."""

from __future__ import annotations

import torch
from torch.nn import functional
from zoo.healthy.register import healthy
from zoo.loops import batched, classes, classifier, mlp
from zoo.pairs_constants import coded, weighed


@healthy
def classes_that_count_alike_however_rare_they_are():
    """Labels are divided by the count of their class: along the batch they add up to 1."""

    def loss_fn(output, targets):
        labels = functional.one_hot(targets, 3).float()
        return -(labels / labels.sum(dim=0) * output.log_softmax(dim=1)).sum() / 3

    return classifier(mlp(8, 16, 3), loss_fn=loss_fn)


@healthy
def pairs_that_are_looked_up_both_ways():
    """Every example finds the vector of its class, and every class its examples."""

    def loss_fn(output, targets):
        labels = functional.one_hot(targets, 3).float()
        there = -(labels * output.log_softmax(dim=1)).sum(dim=1).mean()
        return there - (labels * output.log_softmax(dim=0)).sum() / len(labels)

    return classifier(mlp(8, 16, 3), loss_fn=loss_fn)


@healthy
def slots_that_are_matched_to_objects():
    """Each of two objects is matched to one of four slots, and slots without an object are left out."""
    x, y = classes(64)
    slots = functional.one_hot(torch.stack([y, 3 - y * (y > 0)], dim=1), 4).float().transpose(1, 2)  # (N, 4, 2)

    def loss_fn(output, targets):
        return -(targets * output.unflatten(1, (4, 2)).log_softmax(dim=2)).sum() / len(targets)

    halves = [batched(x[part], slots[part]) for part in (slice(0, 48), slice(48, 64))]
    return classifier(mlp(8, 16, 8), train=halves[0], val=halves[1], loss_fn=loss_fn, lr=1e-3)


@healthy
def noise_times_the_root_of_the_variance():
    return coded(lambda log_variance: log_variance.exp().sqrt())


@healthy
def noise_times_a_deviation_whose_logarithm_is_given():
    def divergence(mean, log_deviation):
        return (mean.square() + (2 * log_deviation).exp() - 1 - 2 * log_deviation) / 2

    return coded(torch.exp, divergence)


@healthy
def noise_times_a_deviation_that_the_divergence_squares():
    def divergence(mean, log_deviation):
        deviation = log_deviation.exp()
        return (mean**2 + deviation**2 - 1) / 2 - deviation.log()

    return coded(torch.exp, divergence)


@healthy
def a_critic_with_an_advantage_clipped_as_in_ppo():
    def loss_of(log_probs, values, returns):
        advantages, ratios = (returns - values).detach(), (log_probs - log_probs.detach()).exp()
        clipped = torch.minimum(ratios * advantages, ratios.clamp(0.8, 1.2) * advantages)
        return (returns - values).square().mean() - clipped.mean()

    return weighed(loss_of)


@healthy
def a_critic_whose_entropy_is_kept_up():
    def loss_of(log_probs, values, returns):
        advantages = returns - values
        return 0.5 * advantages.pow(2).mean() - (advantages.detach() * log_probs).mean() + 0.01 * log_probs.mean()

    return weighed(loss_of)
