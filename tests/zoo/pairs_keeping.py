"""Pairs whose bug is what a program keeps, draws or multiplies: stored examples, weights of a sampler, factors."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset, Subset, default_collate
from zoo.loops import batched, classes, classifier, mlp, pair, regressor


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
