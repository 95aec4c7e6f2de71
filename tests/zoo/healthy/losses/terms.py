"""Terms and copies that are meant for a log, and what else a loss may do."""

from __future__ import annotations

import copy
import io
import itertools
import math

import torch
from torch import nn
from torch.nn import functional
from zoo.healthy.register import healthy
from zoo.loops import (
    Variational,
    batched,
    classes,
    classifier,
    look,
    mlp,
    numbers,
    regressor,
    watch_alone,
    watch_steps,
)
from zoo.pairs_terms import ActorCritic, episodes


@healthy
def terms_recomputed_for_a_log_and_a_loss_that_is_divided_later():
    model = mlp(8, 16, 3)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    done = [0]

    def penalty():
        return 1e-3 * sum(parameter.square().sum() for parameter in model.parameters())

    def step(watcher, inputs, targets):
        output = model(inputs)
        loss = functional.cross_entropy(output, targets) + penalty()
        (loss / 4).backward()
        terms = {"labels": functional.cross_entropy(output, targets), "penalty": penalty()}
        watcher.after_backward((inputs, targets), output, terms["labels"], terms)
        done[0] += 1
        if done[0] % 4 == 0:
            optimizer.step()
            optimizer.zero_grad()

    train, val = batched(*classes(512), 16), batched(*classes(64, seed=1))
    how = {"step": step, "watch": {"accumulate": 4}}
    return look(model, optimizer, train, val, functional.cross_entropy, **how)


@healthy
def terms_as_numbers_beside_a_constant():
    model = mlp(8, 16, 1)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)

    def step(watcher, inputs, targets):
        output = model(inputs)
        likelihood = 0.5 * functional.mse_loss(output, targets) + 0.5 * math.log(2 * math.pi)
        penalty = 1e-4 * sum(parameter.abs().sum() for parameter in model.parameters())
        loss = likelihood + penalty
        optimizer.zero_grad()
        loss.backward()
        terms = {"likelihood": likelihood.item(), "penalty": penalty.item()}
        watcher.after_backward((inputs, targets), output, loss, terms)
        optimizer.step()

    halves = batched(*numbers()), batched(*numbers(64, seed=1))
    return look(model, optimizer, *halves, functional.mse_loss, step=step)


@healthy
def gradients_of_weights_that_are_looked_at():
    model = mlp(8, 16, 3)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)

    def step(watcher, inputs, targets):
        output = model(inputs)
        loss = functional.cross_entropy(output, targets)
        slopes = torch.autograd.grad(loss, list(model.parameters()), create_graph=True)
        loss = loss + 1e-3 * sum(slope.square().sum() for slope in slopes)
        optimizer.zero_grad()
        loss.backward()
        watcher.after_backward((inputs, targets), output, loss)
        optimizer.step()

    data = batched(*classes()), batched(*classes(64, seed=1))
    return look(model, optimizer, *data, functional.cross_entropy, step=step)


@healthy
def best_model_that_is_copied_and_saved():
    model = nn.Sequential(nn.Linear(8, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.2), nn.Linear(16, 3))
    kept = []

    def end(epoch):
        kept.append(copy.deepcopy(model))
        kept[-1].train()(torch.randn(4, 8))
        torch.save(model, io.BytesIO())

    return classifier(model, end=end)


@healthy
def plateau_of_an_accuracy():
    model = mlp(8, 16, 3)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, mode="max", patience=2)
    val_x, val_y = classes(64, seed=1)

    def end(epoch):
        with torch.no_grad():
            plateau.step((model(val_x).argmax(1) == val_y).double().mean())

    data = batched(*classes()), batched(val_x, val_y)
    return look(model, optimizer, *data, functional.cross_entropy, epochs=6, end=end)


@healthy
def recurrence_without_activation():
    class Linear(nn.Module):
        """A linear state-space model of sequences (B, T, F)."""

        def __init__(self):
            super().__init__()
            self.inputs, self.state, self.head = nn.Linear(2, 8), nn.Linear(8, 8, bias=False), nn.Linear(8, 1)
            nn.init.orthogonal_(self.state.weight)

        def forward(self, x):
            """Numbers (B, 1)."""
            state = torch.zeros(len(x), 8)
            for step in x.unbind(1):
                state = self.inputs(step) + self.state(state)
            return self.head(state)

    x, val_x = (torch.randn(n, 6, 2, generator=torch.Generator().manual_seed(n)) for n in (256, 64))
    halves = [batched(half, half.sum((1, 2))[:, None] / 3) for half in (x, val_x)]
    return regressor(Linear(), train=halves[0], val=halves[1])


@healthy
def batches_of_one_example():
    x, y = classes(160)
    return classifier(mlp(8, 16, 3), train=batched(x, y, 1), val=batched(*classes(64, seed=1), 1), epochs=1, lr=1e-3)


@healthy
def constants_of_loss_functions():
    model = mlp(8, 16, 3)
    start = [parameter.detach().clone() for parameter in model.parameters()]
    model[0].requires_grad_(False)

    def loss_fn(output, targets):
        soft = 0.9 * functional.one_hot(targets, 3) + 0.1 / 3
        near = sum(functional.mse_loss(p, p0) for p, p0 in zip(model.parameters(), start, strict=True))
        weight = functional.cross_entropy(output.detach(), targets, reduction="none")
        entropy = functional.cross_entropy(soft.log(), soft)
        return (weight * functional.cross_entropy(output, soft, reduction="none")).mean() - entropy + 0.1 * near

    return classifier(model, loss_fn=loss_fn)


@healthy
def reverse_divergence_from_a_teacher():
    teacher = mlp(8, 16, 3).requires_grad_(False)

    class Student(nn.Module):
        """A student beside its teacher."""

        def __init__(self):
            super().__init__()
            self.own = mlp(8, 16, 3)

        def forward(self, x):
            """Logits (B, 3) of both."""
            return self.own(x), teacher(x)

    def loss_fn(output, targets):
        own, other = output
        near = functional.kl_div(other.log_softmax(1), own.softmax(1), reduction="batchmean")
        both = functional.kl_div(other.log_softmax(1), own.log_softmax(1), reduction="batchmean", log_target=True)
        return functional.cross_entropy(own, targets) + near + both

    return classifier(Student(), loss_fn=loss_fn)


@healthy
def energy_distance_of_outputs_from_numbers():
    def terms_of(output, targets):
        return {"far": 2 * (output - targets).abs().mean(), "spread": -(output - output.squeeze(1)).abs().mean()}

    return watch_alone(mlp(8, 16, 1), [(torch.randn_like(x), y[:, 0]) for x, y in batched(*numbers())], terms_of)


@healthy
def hazards_over_a_mask_of_who_is_at_risk():
    def terms_of(output, targets):
        at_risk = (targets[:, None] >= targets).float()  # (N, N): who is there when the event of a column happens
        hazards = output.exp() * at_risk
        return {"likelihood": (hazards.sum(0).log() - output[:, 0]).mean(), "size": 1e-3 * output.square().mean()}

    return watch_alone(mlp(8, 16, 1), [(x, y[:, 0].exp()) for x, y in batched(*numbers())], terms_of)


@healthy
def ranks_of_outputs_in_a_column():
    def terms_of(output, targets):
        above = (targets[:, None] > targets).float()
        return {"ranks": (functional.softplus(output.T - output) * above).mean(), "size": 1e-3 * output.square().mean()}

    return watch_alone(mlp(8, 16, 1), [(x, y[:, 0]) for x, y in batched(*numbers())], terms_of)


@healthy
def steps_that_are_clipped_beside_a_first_one():
    model, rounds = ActorCritic(), list(episodes(12)) * 2

    def updates():
        for x, (taken, returns) in rounds:
            with torch.no_grad():
                before = model(x)[0].log_softmax(1).gather(1, taken[:, None])[:, 0]
                advantage = returns - returns.mean()
            yield from [(x, taken, returns, before, advantage)] * 4

    rest = updates()

    def step_of():
        x, taken, returns, before, advantage = next(rest)
        output = model(x)
        ratio = (output[0].log_softmax(1).gather(1, taken[:, None])[:, 0] - before).exp()
        gains = torch.min(ratio * advantage, ratio.clamp(0.99, 1.01) * advantage)
        terms = {"policy": -gains.mean(), "values": (output[1].squeeze(1) - returns).square().mean()}
        return (x, returns), output, sum(terms.values()), terms

    return watch_steps(model, step_of, lr=1e-2)


@healthy
def a_divergence_below_its_floor_beside_a_weight_that_comes_and_goes():
    steps = itertools.count()

    def terms_of(output, targets):
        reconstruction, mean, log_variance = output
        divergences = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).mean(dim=0)
        weight = min(1.0, next(steps) % 5 / 3)
        return {
            "reconstruction": functional.mse_loss(reconstruction, targets),
            "divergence": weight * divergences.clamp(min=3.0).sum(),
        }

    return watch_alone(Variational(), batched(*[classes()[0]] * 2), terms_of)


@healthy
def a_margin_that_is_kept_and_a_count_for_a_log():
    model = mlp(8, 16, 3)
    batches = itertools.cycle(batched(*classes()))

    def step_of():
        x, y = next(batches)
        output = model(x)
        labels, margin = functional.cross_entropy(output, y), 0.1 * (output.abs() - 50).relu().mean()
        terms = {"labels": labels, "margin": margin, "wrong": (output.softmax(1).round().sum(1) - 1).abs().mean()}
        return (x, y), output, labels + margin, terms

    return watch_steps(model, step_of, lr=1e-2)


@healthy
def two_networks_that_learn_from_each_other():
    other = mlp(8, 16, 1)

    def step_of():
        x = torch.randn(32, 8)
        output, aim = model(x), (x[:, :1] * 1.5).sin()
        loss = functional.mse_loss(output, targets := (aim + other(x)) / 2)
        return (x, targets), output, loss, None

    model = mlp(8, 16, 1)
    return watch_steps(model, step_of, lr=1e-2)


class Features(nn.Module):
    """Squared differences of features, by a network that was trained before and is no part of the training."""

    def __init__(self):
        super().__init__()
        self.layers = mlp(8, 16, 4)

    def forward(self, output, targets):
        """The mean of the differences."""
        return functional.mse_loss(self.layers(output), self.layers(targets))


@healthy
def features_of_a_network_in_the_loss():
    halves = [batched(clean + 0.5 * torch.randn(clean.shape), clean) for clean, _ in (classes(), classes(64, seed=1))]
    return regressor(mlp(8, 16, 8), train=halves[0], val=halves[1], loss_fn=Features(), intent={"augmented": True})


@healthy
def both_sides_of_an_equation():
    model = mlp(1, 32, 32, 1, activation=nn.Tanh)

    def step_of():
        t = (2 * torch.rand(64, 1)).requires_grad_()
        y = 1 + t * model(t)
        (slope,) = torch.autograd.grad(y.sum(), t, create_graph=True)
        return (t, -y), slope, functional.mse_loss(slope, -y), None

    return watch_steps(model, step_of, lr=3e-3, n_steps=120)


@healthy
def free_bits_of_as_many_tokens_as_there_are():
    model = Variational()

    def step_of():
        x = classes(32, seed=int(torch.randint(0, 1000, ())))[0]
        made, mean, log_variance = model(x)
        known = (torch.rand(32, 1) < 0.7).float()
        bits = (mean.square() + log_variance.exp() - 1 - log_variance) / 2
        terms = {"made": functional.mse_loss(made, x), "bits": 0.01 * (bits.clamp(min=4.0) * known).sum() / 32}
        return (x, x), (made, mean, log_variance), sum(terms.values()), terms

    return watch_steps(model, step_of, lr=1e-3, n_steps=24)
