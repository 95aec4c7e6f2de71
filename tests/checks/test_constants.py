"""Constants that a graph of a loss holds until its backward pass: labels beside a softmax, noise, and returns."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from goldmark.checks import check_advantage_with_gradient, check_deviation_of_noise, check_softmax_across_targets

N = 6
SCORES = torch.randn(N, 3, generator=torch.Generator().manual_seed(0), requires_grad=True)
CLASSES = torch.tensor([0, 1, 0, 2, 0, 1])
LABELS = functional.one_hot(CLASSES, 3).float()
MATCHED = torch.eye(N)[:, :3]
SQUARE = torch.eye(3)[torch.tensor([1, 2, 0])]

ACROSS = {
    "labels": lambda: -(LABELS * SCORES.log_softmax(0)).sum(1).mean(),
    "labels that are whole numbers": lambda: -(LABELS.long() * SCORES.log_softmax(0)).sum(1).mean(),
    "smoothed labels": lambda: -((0.9 * LABELS + 0.1 / 3) * SCORES.log_softmax(0)).sum() / N,
    "the logarithm of a softmax": lambda: (-LABELS * (SCORES.softmax(0) + 1e-8).log()).sum(),
    "a softmax that was turned": lambda: -(LABELS.T[None] * SCORES.log_softmax(0).T[None]).sum(1).mean(),
    "a divergence": lambda: functional.kl_div(SCORES.log_softmax(0), LABELS, reduction="batchmean"),
    "two views": lambda: -(LABELS.expand(2, N, 3) * SCORES.expand(2, N, 3).log_softmax(1)).sum(-1).mean(),
}
ALONG = {
    "labels": lambda: -(LABELS * SCORES.log_softmax(1)).sum(1).mean(),
    "a softmax that was turned": lambda: -(LABELS.T * SCORES.log_softmax(1).T).sum(0).mean(),
    "several labels": lambda: -((SCORES > 0).float() * SCORES.log_softmax(0)).sum(),
    "labels both ways": lambda: -(SQUARE * SCORES[:3].log_softmax(0)).sum(),
    "both softmaxes": lambda: -(LABELS * (SCORES.log_softmax(0) + SCORES.log_softmax(1))).sum(),
    "two losses": lambda: -(LABELS * SCORES.log_softmax(0)).sum() + functional.cross_entropy(SCORES, CLASSES),
    "classes that count alike": lambda: -(LABELS / LABELS.sum(0) * SCORES.log_softmax(1)).sum(),
    "pairs that are looked up one way": lambda: -(LABELS.T * SCORES.T.log_softmax(1)).sum(),
    "matched slots": lambda: -(MATCHED * SCORES.log_softmax(1)).sum(),
    "positives of a class": lambda: -((LABELS * SCORES.log_softmax(0)).sum(0) / LABELS.sum(0)).mean(),
    "probabilities": lambda: (LABELS * SCORES.softmax(0)).sum(),
}


def made(n=5):
    """A tensor (N, 2) that a layer gives."""
    return torch.nn.Linear(3, 2)(torch.ones(n, 3))


def coded(scale, *, divergence=lambda mean, spread: (mean**2 + spread.exp() - 1 - spread).sum() / 2, draw=None):
    """A loss of a code whose noise is scaled by `scale(spread)`."""
    mean, spread = made(), made()
    noise = torch.tensor([[-1.0, 0.5]]).expand(5, 2).clone()
    code = mean + noise * scale(spread) if draw is None else draw(mean, noise, scale(spread))
    return made()[0, 0] + torch.nn.Linear(2, 4)(code).square().mean() + divergence(mean, spread)


def in_parts(mean, spread):
    """A divergence whose parts are summed apart, and weighted."""
    return -0.1 * (10 + spread.sum() - mean.pow(2).sum() - torch.sum(spread.exp())) / 5


def of_a_deviation(mean, spread):
    """A divergence that takes `spread` for the logarithm of a deviation."""
    return (mean**2 + (2 * spread).exp() - 1 - 2 * spread).sum() / 2


def of_given(mean, spread):
    """A divergence of torch's own distributions."""
    given = torch.distributions.Normal(mean, spread.exp())
    return torch.distributions.kl_divergence(given, torch.distributions.Normal(0.0, 1.0)).sum()


VARIANCE = {
    "a sum": lambda: coded(torch.exp),
    "parts": lambda: coded(torch.exp, divergence=in_parts),
    "a mean of the sums of examples": lambda: coded(
        torch.exp, divergence=lambda mean, spread: (-0.5 * (1 + spread - mean * mean - spread.exp())).sum(1).mean()
    ),
    "in place": lambda: coded(torch.exp, draw=lambda mean, noise, scale: noise.mul_(scale).add_(mean)),
    "one operation": lambda: coded(torch.exp, draw=torch.addcmul),
    "several draws": lambda: coded(
        torch.exp, draw=lambda mean, noise, scale: (mean.unsqueeze(1) + noise[:, None] * scale.unsqueeze(1)).mean(1)
    ),
}
DEVIATION = {
    "half of the logarithm": lambda: coded(lambda spread: (spread / 2).exp()),
    "half, in parts": lambda: coded(lambda spread: spread.mul(0.5).exp(), divergence=in_parts),
    "a root": lambda: coded(lambda spread: spread.exp().sqrt()),
    "softplus": lambda: coded(functional.softplus),
    "the logarithm of a deviation": lambda: coded(torch.exp, divergence=of_a_deviation),
    "distributions": lambda: coded(torch.exp, divergence=of_given),
    "no noise": lambda: coded(torch.exp, draw=lambda mean, _, scale: mean + 0.5 * scale),
}

RETURNS = torch.tensor([1.0, -1.0, 0.5, 2.0, 0.0])
CHOICES = torch.tensor([0, 1, 1, 0, 1])


def critic_and_actor(loss_of):
    """A loss of values (N,) and of the log-probabilities (N,) of choices."""
    values = torch.nn.Linear(3, 1)(torch.ones(5, 3)).squeeze(-1)
    return loss_of(values, torch.distributions.Categorical(logits=made()).log_prob(CHOICES))


def one_by_one(values, log_probs):
    """A loss whose parts are stacked, step by step."""
    steps = list(zip(RETURNS, values.unbind(), log_probs.unbind(), strict=True))
    chosen = torch.stack([-log_prob * (aim - value) for aim, value, log_prob in steps]).sum()
    return chosen + torch.stack([functional.smooth_l1_loss(value, aim) for aim, value, _ in steps]).sum()


WITH = {
    "two terms": lambda v, p: functional.mse_loss(v, RETURNS) - ((RETURNS - v) * p).mean(),
    "one difference": lambda v, p: (RETURNS - v).pow(2).mean() / 2 - (p * (RETURNS - v)).mean(),
    "a square by hand": lambda v, p: (errors := v - RETURNS).mul(errors).mean() + ((v - RETURNS) * p).sum(),
    "steps": one_by_one,
}
WITHOUT = {
    "a detached value": lambda v, p: functional.mse_loss(v, RETURNS) - ((RETURNS - v.detach()) * p).mean(),
    "a detached advantage": lambda v, p: (RETURNS - v).pow(2).mean() - ((RETURNS - v).detach() * p).mean(),
    "no error of its own": lambda v, p: -((RETURNS - v) * p).mean(),
    "another value": lambda v, p: functional.mse_loss(v, RETURNS) - ((RETURNS - made()[:, 0]) * p).mean(),
    "no choices": lambda v, _: functional.mse_loss(v, RETURNS) - ((RETURNS - v) * made()[:, 0]).mean(),
    "a likelihood": lambda v, _: ((RETURNS - v) * made()[:, 0].exp()).square().mean() + (RETURNS - v).square().mean(),
    "a third power": lambda v, _: (RETURNS - v).square().mean() + ((RETURNS - v) * (RETURNS - v).square()).mean(),
    "a gate": lambda v, p: (v.sigmoid() - 1).square().mean() + 0 * p.sum(),
    "learnt weights": lambda v, p: (RETURNS - v).square().mean() * made()[0, 0].exp() - p.mean() * made()[0, 1],
}


@pytest.mark.parametrize("loss_of", ACROSS.values(), ids=ACROSS)
def test_a_softmax_across_labels_is_trouble(loss_of):
    """It shares probability out among examples."""
    assert check_softmax_across_targets(loss_of()).trouble


@pytest.mark.parametrize("loss_of", ALONG.values(), ids=ALONG)
def test_a_softmax_along_labels_passes(loss_of):
    """As do constants that are no labels, and softmaxes that are meant."""
    assert not check_softmax_across_targets(loss_of()).trouble


@pytest.mark.parametrize("loss_of", VARIANCE.values(), ids=VARIANCE)
def test_noise_times_a_variance_is_trouble(loss_of):
    """The divergence reads the same tensor as the logarithm of a variance."""
    assert check_deviation_of_noise(loss_of()).trouble


@pytest.mark.parametrize("loss_of", DEVIATION.values(), ids=DEVIATION)
def test_noise_times_a_deviation_passes(loss_of):
    """However the deviation is made."""
    assert not check_deviation_of_noise(loss_of()).trouble


@pytest.mark.parametrize("loss_of", WITH.values(), ids=WITH)
def test_an_advantage_with_a_gradient_is_trouble(loss_of):
    """The same value has an error of its own."""
    assert check_advantage_with_gradient(critic_and_actor(loss_of)).trouble


@pytest.mark.parametrize("loss_of", WITHOUT.values(), ids=WITHOUT)
def test_an_advantage_without_a_gradient_passes(loss_of):
    """As do differences that multiply something else than log-probabilities."""
    assert not check_advantage_with_gradient(critic_and_actor(loss_of)).trouble


@pytest.mark.parametrize(
    "check", [check_softmax_across_targets, check_deviation_of_noise, check_advantage_with_gradient]
)
def test_nothing_is_said_after_a_backward_pass(check):
    """Nor of a loss without a graph."""
    loss = coded(torch.exp) + critic_and_actor(one_by_one) + ACROSS["labels"]()
    loss.backward()
    assert not check(loss).trouble
    assert not check(torch.zeros(())).trouble
