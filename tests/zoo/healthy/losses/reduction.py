"""Losses that add up over a batch in ways of their own, and weights, freezing and copies that are meant."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional
from zoo.healthy.register import healthy
from zoo.loops import Variational, batched, classes, classifier, images, look, mlp, numbers, regressor
from zoo.pairs_reduction import imbalanced


def autoencoder(loss_of, data_of=classes):
    """A variational autoencoder whose loss `loss_of(squares, divergences)` makes of numbers (B, F) and (B, 2)."""

    def loss_fn(output, targets):
        reconstruction, mean, log_variance = output
        divergences = -0.5 * (1 + log_variance - mean.square() - log_variance.exp())
        return loss_of((reconstruction - targets).square(), divergences)

    inputs = [x.flatten(1) for x, _ in (data_of(), data_of(64, seed=1))]
    halves = [batched(x, x) for x in inputs]
    return regressor(Variational(inputs[0].shape[1]), train=halves[0], val=halves[1], loss_fn=loss_fn, lr=1e-3)


@healthy
def all_terms_summed_over_the_batch():
    return autoencoder(lambda squares, divergences: squares.sum() + divergences.sum())


@healthy
def sums_divided_by_the_batch():
    return autoencoder(lambda squares, divergences: (squares.sum() + 0.1 * divergences.sum()) / len(squares))


@healthy
def a_mean_and_a_maximum_over_the_batch():
    return autoencoder(lambda squares, divergences: squares.mean() + 0.1 * divergences.mean() + 0.01 * squares.max())


@healthy
def spread_and_decorrelation_of_a_code():
    def loss_of(squares, divergences):
        centred = divergences - divergences.mean(dim=0)
        covariance = centred.T @ centred / (len(centred) - 1)
        return squares.mean() + 0.1 * (1 - divergences.var(dim=0)).relu().mean() + 0.1 * covariance[0, 1].square()

    return autoencoder(loss_of)


@healthy
def a_divergence_of_a_chosen_weight_beside_a_mean_of_many():
    return autoencoder(lambda squares, divergences: squares.mean() + 0.01 * divergences.sum(dim=1).mean(), images)


@healthy
def a_divergence_divided_by_the_elements():
    return autoencoder(lambda squares, divergences: squares.mean() + divergences.sum() / squares.numel(), images)


@healthy
def a_divergence_that_counts_above_a_floor():
    def loss_of(squares, divergences):
        return squares.mean() + divergences.mean(dim=0).clamp(min=0.1).sum()

    return autoencoder(loss_of, images)


@healthy
def a_reconstruction_of_another_unit():
    return autoencoder(lambda squares, divergences: (squares * 255).mean() + divergences.sum(dim=1).mean(), images)


@healthy
def overlap_of_masks_and_their_cross_entropy():
    def loss_fn(output, targets):
        shares = output.sigmoid()
        common, whole = (shares * targets).sum(), shares.sum() + targets.sum()
        return functional.binary_cross_entropy_with_logits(output, targets) + 1 - (2 * common + 1) / (whole + 1)

    halves = [batched(x, (x[:, :3] > 0.5).float()) for x, _ in (classes(), classes(64, seed=1))]
    return regressor(mlp(8, 16, 3), train=halves[0], val=halves[1], loss_fn=loss_fn)


@healthy
def sum_of_squares_and_a_penalty_on_weights():
    model = mlp(8, 16, 1)

    def loss_fn(output, targets):
        return functional.mse_loss(output, targets, reduction="sum") + 0.01 * sum(
            w.square().sum() for w in model.parameters()
        )

    return regressor(model, loss_fn=loss_fn, lr=1e-3)


@healthy
def a_class_of_weight_zero():
    x, y = classes(n_classes=3)
    weight = torch.tensor([1.0, 1.0, 0.0])
    keep = (y != 2) | (torch.arange(len(y)) % 5 == 0)
    return classifier(mlp(8, 16, 3), train=batched(x[keep], y[keep]), loss_fn=nn.CrossEntropyLoss(weight=weight))


@healthy
def weights_of_nearly_equal_classes():
    loss_fn = nn.CrossEntropyLoss(weight=torch.tensor([2.0, 1.0, 1.0]))
    return classifier(mlp(8, 16, 3), loss_fn=loss_fn)


@healthy
def rare_examples_repeated_in_training_alone():
    (x, y), val = imbalanced(256, 0), imbalanced(64, 1)
    again = torch.cat([torch.arange(len(y)), (y == 1).nonzero().flatten().repeat(3)])
    again = again[torch.randperm(len(again), generator=torch.Generator().manual_seed(2))]
    return classifier(mlp(8, 16, 2), train=batched(x[again], y[again]), val=batched(*val))


@healthy
def tables_of_few_values():
    def table(n, seed):
        x = torch.randint(0, 3, (n, 4), generator=torch.Generator().manual_seed(seed)).float() - 1
        return batched(x / 0.8165, (x.sum(dim=1) > 0).long())

    return classifier(mlp(4, 16, 2), train=table(256, 0), val=table(64, 1))


@healthy
def layers_thawed_one_by_one():
    model = mlp(8, 16, 16, 3)
    model[:4].requires_grad_(False)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)

    def thaw(epoch):
        model[2 if epoch == 0 else 0].requires_grad_(True)

    how = {"intent": {"frozen": [model[0], model[2]]}, "end": thaw}
    return look(model, optimizer, batched(*classes()), batched(*classes(64, seed=1)), functional.cross_entropy, **how)


@healthy
def soft_labels_at_the_ends():
    x, y = numbers()
    targets = torch.sigmoid(y * 3).clamp(0, 1)
    targets[:8] = (targets[:8] > 0.5).float()
    return regressor(
        mlp(8, 16, 1),
        train=batched(x, targets),
        val=batched(x[:64] + 0.1, targets[:64]),
        loss_fn=functional.binary_cross_entropy_with_logits,
    )
