"""Pairs of results: trained models that a score alone would let pass; each check is asked directly."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional
from zoo.loops import classes, mlp, numbers, pair, watch_steps

from goldmark import checks


def denoiser(target_of):
    """Look at diffusion in the plane: `target_of(clean, noise, kept)` is what a model has to tell of noisy points."""
    model = mlp(3, 64, 64, 2, activation=nn.SiLU)

    def step_of():
        clean = torch.randn(64, 2).sign() + 0.1 * torch.randn(64, 2)
        noise, kept = torch.randn(64, 2), torch.rand(64, 1)
        noisy = kept.sqrt() * clean + (1 - kept).sqrt() * noise
        target, output = target_of(clean, noise, kept), model(torch.cat([noisy, kept], dim=1))
        return ((noisy, kept), target), output, functional.mse_loss(output, target), None

    return watch_steps(model, step_of, lr=3e-3, n_steps=200)


@pair("unrelated_noise")
def noise_that_is_drawn_again_for_the_target(bug):
    return denoiser(lambda clean, noise, kept: torch.randn_like(noise) if bug else noise)


class Denoiser(nn.Module):
    """What noise there is in points (B, 2), of which a share (B, 1) is kept."""

    def __init__(self):
        super().__init__()
        self.net = mlp(3, 64, 64, 2, activation=nn.SiLU)

    def forward(self, noisy, kept):
        """The noise (B, 2)."""
        return self.net(torch.cat([noisy, kept], dim=1))


def made_noisy(clean):
    """Points (64, 2) with noise, which share of them is kept, and the noise."""
    noise, kept = torch.randn(64, 2), torch.rand(64, 1)
    return kept.sqrt() * clean + (1 - kept).sqrt() * noise, kept, noise


@pair("unreachable_targets")
def values_of_actions_that_cannot_be_negative(bug):
    """Costs of 1 a step, of which a watch is told no batch that would show them beside the values."""
    model = mlp(4, 32, 2, last=nn.ReLU() if bug else None)

    def step_of():
        states, actions = torch.randn(64, 4), torch.randint(0, 2, (64, 1))
        value = -1.0 - states[:, :1].abs() * actions
        output = model(states)
        return None, output, functional.smooth_l1_loss(output.gather(1, actions), value), None

    return watch_steps(model, step_of, lr=3e-3)


def denoiser_of_clean_points(model, loss_of, lr=3e-3):
    """Look at diffusion of which the watch is told clean points and predictions, as `loss_of(model, clean)` gives."""

    def step_of():
        clean = torch.randn(64, 2).sign() + 0.1 * torch.randn(64, 2)
        loss, output = loss_of(model, clean)
        return clean, output, loss, None

    return watch_steps(model, step_of, lr=lr, n_steps=130)


@pair("unrelated_noise")
def noise_that_is_drawn_again_where_the_loss_is_made(bug):
    def loss_of(model, clean):
        noisy, kept, noise = made_noisy(clean)
        output = model(noisy, kept)
        return functional.mse_loss(output, torch.randn_like(clean) if bug else noise), output

    return denoiser_of_clean_points(Denoiser(), loss_of)


def trained(model, x, y, loss_fn, steps=300, lr=1e-2, weight_decay=0.0):
    """Train a model on all examples at once, and return it."""
    optimizer = torch.optim.Adam(model.parameters(), lr=lr, weight_decay=weight_decay)
    for _ in range(steps):
        optimizer.zero_grad()
        loss_fn(model(x), y).backward()
        optimizer.step()
    return model.eval()


def named(*findings):
    """The names of those that mean trouble."""
    return [finding.name for finding in findings if finding.trouble]


@pair("memorised")
def labels_that_are_noise(bug):
    x, y = numbers(64)
    val_x, val_y = numbers(64, seed=1)
    if bug:
        y = y[torch.randperm(64, generator=torch.Generator().manual_seed(0))]
    model = trained(mlp(8, 32, 1), x, y, functional.mse_loss, steps=400)
    with torch.no_grad():
        errors = [float(functional.mse_loss(model(a), b)) for a, b in ((x, y), (val_x, val_y))]
    return named(checks.check_memorised(errors[0], errors[1], float(val_y.var())))


@pair("free_running_gap")
def a_copy_of_the_last_value(bug):
    t = torch.arange(40.0)
    phases = torch.rand(64, 1, generator=torch.Generator().manual_seed(0)) * 6.28
    series = torch.sin(t * 0.5 + phases)
    past, following = series[:, :8], series[:, 8:9]
    width = 1 if bug else 8  # the last value alone cannot tell where a wave is going
    model = trained(mlp(width, 32, 1), past[:, -width:], following, functional.mse_loss)
    with torch.no_grad():
        window, free = past, []
        for _ in range(16):
            free.append(model(window[:, -width:]))
            window = torch.cat([window[:, 1:], free[-1]], dim=1)
        forced = torch.cat([model(series[:, 8 + k - width : 8 + k]) for k in range(16)], dim=1)
    truth = series[:, 8:24]
    scores = [float(functional.mse_loss(made, truth)) for made in (forced, torch.cat(free, dim=1))]
    return named(checks.check_free_running_gap(*scores, baseline=float(truth.var())))


@pair("unmoved_by_augmentation")
def augmented_inputs_that_are_not_passed_on(bug):
    x, y = classes()
    model = trained(mlp(8, 16, 3), x, y, functional.cross_entropy, steps=50)
    noisy = [x + 0.1 * torch.randn(x.shape) for _ in range(4)]
    with torch.no_grad():
        plain = model(x)
        augmented = torch.stack([model(x if bug else view) for view in noisy]).mean(0)
        return named(checks.check_unmoved_by_augmentation(plain, augmented, plain))


@pair("no_skill")
def a_score_below_the_mean(bug):
    x, y = numbers(noise=0.3)
    y = y + 1
    model = mlp(8, 16, 1) if bug else trained(mlp(8, 16, 1), x, y, functional.mse_loss)
    with torch.no_grad():
        return named(checks.check_no_skill(float(functional.mse_loss(model(x), y)), float(y.var())))
