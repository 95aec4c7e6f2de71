"""Models with layers that start at zero, behind each other, and loaders that augment where batches are made."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset, default_collate
from zoo.healthy.register import healthy
from zoo.loops import batched, classes, classifier, images, look, mlp, plain_step


class Closed(nn.Module):
    """A convolution, branches whose last convolution is zero, and an output of two layers that both are."""

    def __init__(self, n_branches):
        super().__init__()
        self.stem = nn.Conv2d(1, 8, 3, padding=1)
        self.branches = nn.ModuleList(
            nn.Sequential(nn.Conv2d(8, 8, 3, padding=1), nn.Tanh(), nn.Conv2d(8, 8, 1)) for _ in range(n_branches)
        )
        self.scale, self.head = nn.Linear(8, 8), nn.Linear(8, 2)
        for layer in (*(branch[2] for branch in self.branches), self.head):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, x):
        """Logits (B, 2)."""
        h = self.stem(x)
        for branch in self.branches:
            h = h + branch(h)
        return self.head(self.scale(h.relu().mean((2, 3))))


@healthy
def branches_and_output_that_start_at_zero():
    loader = DataLoader(list(zip(*images(), strict=True)), batch_size=16, shuffle=True)
    return classifier(Closed(2), train=loader, val=[images(32, seed=1)], epochs=2)


@healthy
def output_that_opens_at_a_rate_of_zero():
    model = Closed(1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min(1.0, step / 8))

    def step(watcher, inputs, targets):
        plain_step(watcher, model, optimizer, inputs, targets)
        schedule.step()

    halves = (DataLoader(list(zip(*images(), strict=True)), batch_size=16), [images(32, seed=1)])
    return look(model, optimizer, *halves, nn.CrossEntropyLoss(), step=step)


@healthy
def augmentation_where_a_batch_is_made():
    def noisy(examples):
        inputs, labels = default_collate(examples)
        return inputs + 0.2 * torch.randn_like(inputs), labels

    loader = DataLoader(list(zip(*classes(), strict=True)), batch_size=32, shuffle=True, collate_fn=noisy)
    return classifier(mlp(8, 16, 3), train=loader, intent={"augmented": True})


@healthy
def a_reservoir_at_its_bounds_behind_a_layer_that_is_trained():
    model = mlp(8, 64, 64, 16, 3, activation=nn.Tanh)
    for layer in model[:4:2]:
        nn.init.normal_(layer.weight, std=3.0)
    model[:4].requires_grad_(False)
    return classifier(model)


class Opening(nn.Module):
    """Residual branches that are multiplied by a number, which starts at zero or near it."""

    def __init__(self, start):
        super().__init__()
        self.stem, self.head = nn.Linear(8, 16), nn.Linear(16, 3)
        self.branches = nn.ModuleList(mlp(16, 16, 16) for _ in range(3))
        self.scales = nn.ParameterList(torch.full((16,), start) for _ in range(3))

    def forward(self, x):
        """Logits (B, 3)."""
        h = self.stem(x)
        for scale, branch in zip(self.scales, self.branches, strict=True):
            h = h + scale * branch(h)
        return self.head(h)


@healthy
def branches_that_are_multiplied_by_zero_at_first():
    return [name for start in (0.0, 1e-6) for name in classifier(Opening(start))]


class Cosines(nn.Module):
    """Cosines of an embedding and a word for each class, over a temperature that makes them sharp."""

    def __init__(self):
        super().__init__()
        self.layers, self.words = mlp(8, 32, 16), nn.Parameter(torch.randn(3, 16))

    def forward(self, x):
        """Logits (B, 3) of up to 100."""
        return functional.normalize(self.layers(x), dim=1) @ functional.normalize(self.words, dim=1).T / 0.01


@healthy
def cosines_over_a_low_temperature():
    return classifier(Cosines(), lr=3e-3)


@healthy
def embeddings_of_which_those_of_contexts_start_at_zero():
    class Neighbours(nn.Module):
        """How well a word goes with another, (B,)."""

        def __init__(self):
            super().__init__()
            self.words, self.contexts = nn.Embedding(40, 16), nn.Embedding(40, 16)
            nn.init.zeros_(self.contexts.weight)

        def forward(self, x):
            """Logits (B,)."""
            return (self.words(x[:, 0]) * self.contexts(x[:, 1])).sum(1)

    halves = []
    for n, seed in ((256, 0), (64, 1)):
        x = torch.randint(0, 40, (n, 2), generator=torch.Generator().manual_seed(seed))
        halves.append(batched(x, ((x[:, 0] + x[:, 1]) % 3 == 0).float()))
    loss_fn = functional.binary_cross_entropy_with_logits
    return classifier(Neighbours(), train=halves[0], val=halves[1], loss_fn=loss_fn)


@healthy
def a_rare_augmentation():
    x, y = classes(256)

    class Dropping(Dataset):
        """One example of fifty comes without its first feature."""

        def __len__(self):
            return len(x)

        def __getitem__(self, index):
            kept = torch.ones(8)
            kept[0] = torch.rand(()) >= 0.02
            return x[index] * kept, y[index]

    loader = DataLoader(Dropping(), batch_size=32, shuffle=True)
    return classifier(mlp(8, 16, 3), train=loader, intent={"augmented": True})


@healthy
def summed_losses_of_places_that_start_next_to_each_other():
    """Words (B, 2) that belong together are near: the first steps are many times as long as what stands there."""

    class Places(nn.Module):
        def __init__(self):
            super().__init__()
            self.place = nn.Embedding(40, 8)
            nn.init.uniform_(self.place.weight, -1e-3, 1e-3)

        def forward(self, words):
            first, second = self.place(words).unbind(1)
            return (first * second).sum(1)

    words = torch.randint(0, 40, (1024, 2), generator=torch.Generator().manual_seed(0))
    together = (words[:, 0] % 4 == words[:, 1] % 4).float()
    model = Places()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    loss_fn = nn.BCEWithLogitsLoss(reduction="sum")
    return look(model, optimizer, batched(words[:900], together[:900]), [(words[900:], together[900:])], loss_fn)
