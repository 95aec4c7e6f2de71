"""Pairs whose loss reads too little of a batch, or the wrong part of it: examples, positions, classes."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset
from zoo.loops import batched, classes, classifier, images, look, mlp, numbers, pair, regressor, tokens


class Reader(nn.Module):
    """A recurrent model of tokens: logits (B, T, V) of every position, or (B, V) of the last one."""

    def __init__(self, *, every=True, batch_first=True, classes=12):
        super().__init__()
        self.every, self.embedding = every, nn.Embedding(12, 16)
        self.layer, self.head = nn.GRU(16, 16, batch_first=batch_first), nn.Linear(16, classes)

    def forward(self, x):
        """Logits."""
        states, _ = self.layer(self.embedding(x))
        return self.head(states if self.every else states[:, -1])


def read(model, loss_fn, targets_of, *, length=13, intent=None):
    """Look at a model of tokens (B, 12), whose targets `targets_of(tokens)` gives; `length` of 13 tokens are real."""
    train, val = (tokens(n, seed=n) for n in (128, 64))
    for half in (train, val):
        half[:, length:] = 0
    data = (batched(half[:, :-1], targets_of(half)) for half in (train, val))
    return look(model, torch.optim.Adam(model.parameters(), lr=1e-2), *data, loss_fn, intent=intent)


@pair("one_example_read")
def the_last_example_alone(bug):
    def loss_fn(output, targets):
        return functional.mse_loss(output[-1], targets[-1]) if bug else functional.mse_loss(output, targets)

    return regressor(mlp(8, 16, 1), loss_fn=loss_fn)


@pair("one_example_read")
def a_loss_that_a_loop_over_examples_replaces(bug):
    def loss_fn(output, targets):
        total = 0
        for one, target in zip(output, targets, strict=True):
            loss = functional.cross_entropy(one[None], target[None])
            total = total + loss / len(output)
        return loss if bug else total

    return classifier(mlp(8, 16, 3), loss_fn=loss_fn, epochs=1)


@pair("one_example_read")
def the_first_example_alone_in_the_loop(bug):
    model = mlp(8, 16, 1)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)

    def step(watcher, inputs, targets):
        output = model(inputs)
        loss = functional.mse_loss(output[0], targets[0]) if bug else functional.mse_loss(output, targets)
        optimizer.zero_grad()
        loss.backward()
        watcher.after_backward((inputs, targets), output, loss)
        optimizer.step()

    return look(model, optimizer, batched(*numbers()), batched(*numbers(64, seed=1)), functional.mse_loss, step=step)


@pair("scattered_targets")
def logits_viewed_where_they_should_be_transposed(bug):
    def loss_fn(output, targets):
        n, length, n_classes = output.shape
        return functional.cross_entropy(output.view(n, n_classes, length) if bug else output.transpose(1, 2), targets)

    return read(Reader(classes=15), loss_fn, lambda text: text[:, 1:])


@pair("scattered_targets")
def as_many_positions_as_classes(bug):
    def loss_fn(output, targets):
        return functional.cross_entropy(output if bug else output.transpose(1, 2), targets)

    return read(Reader(), loss_fn, lambda text: text[:, 1:])


@pair("padding_changes_loss")
def a_mask_that_is_turned_around(bug):
    def loss_fn(output, targets):
        counted = (targets == 0 if bug else targets != 0).float()
        losses = functional.cross_entropy(output.transpose(1, 2), targets, reduction="none")
        return (losses * counted).sum() / counted.sum()

    return read(Reader(), loss_fn, lambda text: text[:, 1:], length=9, intent={"pad_id": 0})


@pair("batch_mixing")
def time_taken_for_examples(bug):
    model = Reader(every=False, batch_first=not bug, classes=3)
    return read(model, functional.cross_entropy, lambda text: text[:, -2] % 3)


@pair("batch_mixing")
def places_in_the_batch_taken_for_places_in_time(bug):
    class Placed(nn.Module):
        """Tokens with a table of positions, which is read along the batch, or along time."""

        def __init__(self):
            super().__init__()
            self.embedding, self.head = nn.Embedding(12, 16), nn.Linear(16, 3)
            self.register_buffer("table", torch.randn(64, 16))

        def forward(self, x):
            """Logits (B, 3)."""
            places = self.table[: len(x), None] if bug else self.table[: x.shape[1]]
            return self.head((self.embedding(x) + places).relu().mean(1))

    return read(Placed(), functional.cross_entropy, lambda text: text[:, -2] % 3)


@pair("padding_changes_output")
def a_mask_of_attention_that_is_turned_around(bug):
    class Attending(nn.Module):
        """A layer of attention over tokens of which some are padding, and their mean."""

        def __init__(self):
            super().__init__()
            self.embedding, self.head = nn.Embedding(12, 16), nn.Linear(16, 3)
            self.layer = nn.TransformerEncoderLayer(16, 2, 32, 0.0, batch_first=True)

        def forward(self, x):
            """Logits (B, 3)."""
            real = x != 0
            states = self.layer(self.embedding(x), src_key_padding_mask=real if bug else ~real)
            return self.head((states * real[..., None]).sum(1) / real.sum(1, keepdim=True))

    return read(Attending(), functional.cross_entropy, lambda text: text[:, 1] % 3, length=9, intent={"pad_id": 0})


@pair("carried_state")
def a_state_that_shuffled_sequences_inherit(bug):
    class Stateful(Reader):
        """The same with a state that is kept, or begun anew."""

        state = None

        def forward(self, x):
            """Logits (B, 3) of the last position."""
            states, after = self.layer(self.embedding(x), self.state)
            self.state = after.detach() if bug else None
            return self.head(states[:, -1])

    text, model = tokens(), Stateful(classes=3)
    train = DataLoader(TensorDataset(text[:, :-1], text[:, -2] % 3), batch_size=32, shuffle=True)
    return look(model, torch.optim.Adam(model.parameters(), lr=1e-2), train, None, functional.cross_entropy)


@pair("normalized_outputs")
def log_softmax_over_time(bug):
    def loss_fn(output, targets):
        return functional.nll_loss(output.log_softmax(1 if bug else 2).flatten(0, 1), targets.flatten())

    return read(Reader(), loss_fn, lambda text: text[:, 1:])


@pair("normalized_outputs")
def outputs_and_targets_swapped(bug):
    def loss_fn(output, targets):
        first, second = (targets, output) if bug else (output, targets)
        return functional.binary_cross_entropy(first, second)

    halves = [batched(x, (y == 0).float()[:, None] * 0.8 + 0.1) for x, y in (classes(), classes(64, seed=1))]
    return regressor(mlp(8, 16, 1, last=nn.Sigmoid()), train=halves[0], val=halves[1], loss_fn=loss_fn)


@pair("target_distribution")
def softmax_of_labels_that_do_not_exclude_each_other(bug):
    halves = [batched(x, (x[:, :3] > 0).float()) for x, _ in (classes(), classes(64, seed=1))]
    model = mlp(8, 16, 3, last=nn.Softmax(dim=1) if bug else nn.Sigmoid())
    return regressor(model, train=halves[0], val=halves[1], loss_fn=functional.binary_cross_entropy)


class Following(nn.Module):
    """The next value of a series: by the last step (B, 1), or by every one (B, T)."""

    def __init__(self, *, every):
        super().__init__()
        self.layer, self.head, self.every = nn.LSTM(1, 16, batch_first=True), nn.Linear(16, 1), every

    def forward(self, x):
        """A value for the last step, or for all."""
        states, _ = self.layer(x)
        return self.head(states).flatten(1) if self.every else self.head(states[:, -1])


def lines(n, seed):
    """Straight lines (N, 10, 1) and what follows on them (N, 1)."""
    generator = torch.Generator().manual_seed(seed)
    starts, slopes = torch.randn(2, n, 1, generator=generator)
    points = starts + 0.2 * slopes * torch.arange(11)
    return points[:, :10, None], points[:, 10:]


@pair("broadcast_steps")
def every_step_pulled_to_the_one_that_follows(bug):
    return regressor(Following(every=bug), train=batched(*lines(256, 0)), val=batched(*lines(64, 1)))


class ByPixel(nn.Module):
    """Scores (B, 64, 3) of three classes for every pixel of pictures."""

    def __init__(self, *, viewed):
        super().__init__()
        self.layers, self.viewed = nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 3, 1)), viewed

    def forward(self, x):
        """The maps (B, 3, 8, 8), with the classes last."""
        maps = self.layers(x)
        return maps.reshape(len(x), 64, 3) if self.viewed else maps.flatten(2).transpose(1, 2)


@pair("scrambled_view")
def scores_of_pixels_that_a_model_gives_viewed(bug):
    def halves(n, seed):
        x, _ = images(n, seed=seed)
        return batched(x, (x[:, 0] > 1.5).long().flatten(1) + (x[:, 0] > 0).long().flatten(1))

    def loss_fn(scores, labels):
        return functional.cross_entropy(scores.flatten(0, 1), labels.flatten())

    return classifier(ByPixel(viewed=bug), train=halves(128, 0), val=halves(64, 1), loss_fn=loss_fn, lr=3e-3)


class Turning(nn.Module):
    """Two classes of points; every other row of a batch is turned, or every other feature."""

    def __init__(self, *, rows):
        super().__init__()
        self.layers, self.rows = mlp(8, 16, 3), rows

    def forward(self, x):
        """Logits (B, 3)."""
        turned = x.clone()
        if self.rows:
            turned[::2] = x[::2].sin()
        else:
            turned[:, ::2] = x[:, ::2].sin()
        return self.layers(turned)


@pair("batch_mixing")
def every_other_row_in_place_of_every_other_feature(bug):
    train = DataLoader(TensorDataset(*classes()), batch_size=32, shuffle=True)
    return classifier(Turning(rows=bug), train=train)
