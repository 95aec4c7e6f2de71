"""Pairs whose bug is what a program keeps, draws or multiplies: stored examples, weights of a sampler, factors."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset, Subset, TensorDataset, WeightedRandomSampler, default_collate
from zoo.loops import (
    Variational,
    batched,
    classes,
    classifier,
    look,
    look_at_terms,
    mlp,
    numbers,
    pair,
    plain_step,
    regressor,
    watch_steps,
)


@pair("overlapping_windows")
def readings_of_one_decimal_split_at_random(bug):
    noise = 0.4 * torch.randn(700, generator=torch.Generator().manual_seed(0))
    series = (torch.arange(700) * 0.37).sin() * 2 + noise
    windows = (series.mul(10).round() / 10).unfold(0, 13, 2)
    x, y = windows[:, :12], windows[:, 12:]
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(1)) if bug else torch.arange(len(x))
    train, val = order[:250], order[-64:]
    mean, sd = x[train].mean(), x[train].std()
    halves = [batched((x[half] - mean) / sd, (y[half] - mean) / sd) for half in (train, val)]
    return regressor(mlp(12, 16, 1), train=halves[0], val=halves[1])


@pair("symmetric_units")
def weights_that_all_start_at_zero(bug):
    model = mlp(8, 16, 16, 3)
    if bug:
        for parameter in model.parameters():
            nn.init.zeros_(parameter)
    return classifier(model)


@pair("constant_inputs")
def a_sensor_that_is_off(bug):
    x, y = classes()
    val_x, val_y = classes(64, seed=1)
    if bug:
        x, val_x = (torch.cat([half[:, :7], torch.full_like(half[:, :1], -9.0)], dim=1) for half in (x, val_x))
    return classifier(mlp(8, 16, 3), train=batched(x, y), val=batched(val_x, val_y))


@pair("augmentation_without_effect")
def noise_that_a_batch_does_not_get(bug):
    def noisy(examples):
        inputs, labels = default_collate(examples)
        noise = 0.2 * torch.randn_like(inputs)
        if bug:
            inputs.add(noise)
            return inputs, labels
        return inputs + noise, labels

    loader = DataLoader(list(zip(*classes(), strict=True)), batch_size=32, collate_fn=noisy)
    return classifier(mlp(8, 16, 3), train=loader, intent={"augmented": True})


class Kept(Dataset):
    """Examples that lie in a list, each an array that is turned and shifted as it is read, or a copy of it."""

    def __init__(self, *, copies):
        inputs, labels = classes(320)
        self.examples, self.labels, self.copies = [one.numpy().copy() for one in inputs], labels, copies

    def __len__(self):
        """All examples."""
        return len(self.examples)

    def __getitem__(self, index):
        """An example, larger or smaller than it was."""
        x = self.examples[index].copy() if self.copies else self.examples[index]
        x *= np.float32(1 + 0.2 * torch.randn(()).item())
        return torch.from_numpy(x), self.labels[index]


@pair("examples_modified")
def examples_of_a_list_that_are_scaled_where_they_lie(bug):
    dataset = Kept(copies=not bug)
    train = DataLoader(Subset(dataset, range(64, 320)), batch_size=32, shuffle=True)
    return classifier(mlp(8, 16, 3), train=train, val=DataLoader(Subset(dataset, range(64)), batch_size=32))


@pair("examples_modified")
def a_transform_that_normalises_rows_of_a_tensor(bug):
    class Transformed(Dataset):
        """Examples of a tensor behind a transform that works in place, and is given the row or a copy."""

        def __init__(self):
            self.data = dict(zip(("inputs", "labels"), classes(), strict=True))

        def __len__(self):
            """All examples."""
            return len(self.data["labels"])

        def __getitem__(self, index):
            """An example in other units."""
            x = self.data["inputs"][index]
            return (x if bug else x.clone()).sub_(0.1).div_(1.5), self.data["labels"][index]

    return classifier(mlp(8, 16, 3), train=DataLoader(Transformed(), batch_size=32))


@pair("sampler_weights")
def rare_classes_drawn_by_weights_of_classes(bug):
    x, y = classes()
    of_classes = torch.tensor([0.5, 1.0, 2.0])
    sampler = WeightedRandomSampler(of_classes if bug else of_classes[y], num_samples=24 if bug else 256)
    return classifier(mlp(8, 16, 3), train=DataLoader(TensorDataset(x, y), batch_size=8, sampler=sampler))


@pair("sampler_weights")
def two_groups_of_numbers_drawn_alike(bug):
    x, y = numbers()
    group = (x[:, 0] > 1).long()
    of_groups = 1 / torch.bincount(group).double()
    sampler = WeightedRandomSampler(of_groups if bug else of_groups[group], num_samples=256)
    return regressor(mlp(8, 16, 1), train=DataLoader(TensorDataset(x, y), batch_size=32, sampler=sampler))


@pair("schedule_factors")
def rates_of_a_table_taken_for_factors(bug):
    model = mlp(8, 16, 3)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    rates = (0.01, 0.01, 0.005, 0.0025, 0.001)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda epoch: rates[epoch] / (1 if bug else rates[0]))
    data = batched(*classes()), batched(*classes(64, seed=1))
    how = {"epochs": 4, "end": lambda epoch: schedule.step()}
    return look(model, optimizer, *data, functional.cross_entropy, **how)


@pair("schedule_factors")
def a_rate_that_stays_taken_for_a_factor(bug):
    model = mlp(8, 16, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 0.05 if bug else 1.0)

    def step(watcher, inputs, targets):
        plain_step(watcher, model, optimizer, inputs, targets, functional.mse_loss)
        schedule.step()

    data = batched(*numbers()), batched(*numbers(64, seed=1))
    return look(model, optimizer, *data, functional.mse_loss, step=step)


@pair("schedule_factors")
def a_falling_rate_taken_for_a_factor(bug):
    model = mlp(8, 16, 3)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    height = 0.01 if bug else 1.0
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda epoch: height * min(1, (epoch + 1) / 2) * 0.9**epoch)
    data = batched(*classes()), batched(*classes(64, seed=1))
    return look(model, optimizer, *data, functional.cross_entropy, epochs=4, end=lambda epoch: schedule.step())


def annealed(weight_of, *, epochs):
    """Look at a variational autoencoder whose divergence counts `weight_of(epoch)`."""
    x, epoch = numbers(640)[0], [0]

    def terms_of(output, targets):
        reconstruction, mean, log_variance = output
        divergence = (mean**2 + log_variance.exp() - 1 - log_variance).mean() / 2
        return {
            "reconstruction": functional.mse_loss(reconstruction, targets),
            "divergence": weight_of(epoch[0]) * divergence,
        }

    def end(_):
        epoch[0] += 1

    model = Variational()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    return look_at_terms(model, optimizer, batched(x, x), None, terms_of, epochs=epochs, end=end)


@pair("weightless_term")
def a_weight_that_a_division_of_whole_numbers_leaves_at_0(bug):
    return annealed((lambda epoch: min(1, epoch // 8)) if bug else (lambda epoch: min(1, epoch / 8)), epochs=8)


@pair("lost_rates")
def rates_that_are_written_into_copies_of_groups(bug):
    model = mlp(8, 16, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)

    def end(epoch):
        for group in optimizer.state_dict()["param_groups"] if bug else optimizer.param_groups:
            group["lr"] = 0.05 * 0.8 ** (epoch + 1)

    data = batched(*numbers()), batched(*numbers(64, seed=1))
    return look(model, optimizer, *data, functional.mse_loss, end=end, epochs=4)


@pair("examples_by_reference")
def a_replay_of_references_to_one_state(bug):
    network, state = mlp(2, 16, 4), np.zeros(2, dtype=np.float32)
    draw, stored = np.random.default_rng(0), []

    def walk():
        action = int(draw.integers(4))
        before, reward = state.copy(), float(state[action // 2]) * (-1) ** action
        state[:] = 0.9 * state + 0.3 * draw.standard_normal(2)
        stored.append((state if bug else before, action, reward))

    def step_of():
        for _ in range(16):
            walk()
        states, actions, rewards = zip(*(stored[place] for place in draw.integers(0, len(stored), 16)), strict=True)
        inputs, targets = torch.from_numpy(np.stack(states)), torch.tensor(rewards)
        values = network(inputs)
        taken = values.gather(1, torch.tensor(actions)[:, None]).squeeze(1)
        return (inputs, targets), values, functional.smooth_l1_loss(taken, targets), None

    return watch_steps(network, step_of, lr=1e-3)


@pair("mixed_targets")
def targets_mixed_with_those_of_others(bug):
    def mixup(examples):
        x, y = default_collate(examples)
        kept = 0.5 + 0.5 * torch.rand(len(x), 1)
        order = torch.randperm(len(x))
        other = torch.randperm(len(x)) if bug else order
        return kept * x + (1 - kept) * x[order], kept * y + (1 - kept) * y[other]

    loader = DataLoader(TensorDataset(*numbers(n_features=16)), batch_size=32, shuffle=True, collate_fn=mixup)
    return regressor(mlp(16, 32, 1), train=loader, val=batched(*numbers(64, n_features=16, seed=1)))
