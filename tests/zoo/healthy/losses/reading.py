"""Losses that read one example, some positions or other classes of a batch, as they are meant to."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset
from zoo.healthy.register import healthy
from zoo.loops import batched, classes, classifier, look, mlp, numbers, regressor, tokens
from zoo.pairs_reading import Reader, read
from zoo.pairs_reduction import nodes


@healthy
def the_hardest_example_of_a_batch():
    def loss_fn(output, targets):
        return functional.cross_entropy(output, targets, reduction="none").max()

    return classifier(mlp(8, 16, 3), loss_fn=loss_fn, lr=1e-3)


@healthy
def one_example_drawn_from_a_batch():
    def loss_fn(output, targets):
        place = torch.randint(0, len(output), (1,))
        return functional.cross_entropy(output[place], targets[place])

    return classifier(mlp(8, 16, 3), loss_fn=loss_fn, lr=1e-3)


@healthy
def one_label_in_every_batch():
    x, y = classes()
    unlabelled = torch.ones(len(y), dtype=torch.bool)
    unlabelled[torch.arange(8) * 32 + torch.randint(0, 32, (8,))] = False
    return classifier(mlp(8, 16, 3), train=batched(x, y.masked_fill(unlabelled, -100)))


@healthy
def examples_without_a_label_as_minus_one():
    def loss_fn(output, targets):
        return functional.cross_entropy(output, targets, ignore_index=-1)

    x, y = classes()
    return classifier(mlp(8, 16, 3), train=batched(x, y.masked_fill(torch.rand(256) < 0.7, -1)), loss_fn=loss_fn)


@healthy
def bags_that_are_as_their_brightest_example():
    def loss_fn(output, targets):
        return functional.binary_cross_entropy_with_logits(output.max(), targets.max())

    x, y = numbers()
    return regressor(mlp(8, 16, 1), train=batched(x, (y > 1.5).float()), val=None, loss_fn=loss_fn)


class TimeFirst(nn.Module):
    """A recurrent model of series (T, B, F), or of one series (T, F)."""

    def __init__(self, n_features=4, *, one_series=False):
        super().__init__()
        self.one_series, self.layer, self.head = one_series, nn.LSTM(n_features, 16), nn.Linear(16, 1)

    def forward(self, x):
        """Numbers (T, B, 1) or (T, 1)."""
        states, _ = self.layer(x[:, None] if self.one_series else x)
        return self.head(states[:, 0] if self.one_series else states)


@healthy
def the_last_step_of_series_with_time_first():
    def loss_fn(output, targets):
        return functional.mse_loss(output[-1], targets[-1])

    x = torch.randn(10, 224, 4)
    y = x.cumsum(0)[..., :1] / 3
    data = [(x[:, start : start + 32], y[:, start : start + 32]) for start in range(0, 224, 32)]
    return regressor(TimeFirst(), train=data[:6], val=data[6:], loss_fn=loss_fn)


@healthy
def one_series_for_a_batch():
    x = (torch.arange(1101)[:, None] / 10).sin() + 0.1 * torch.randn(1101, 1)
    data = [(x[start : start + 100], x[start + 1 : start + 101]) for start in range(0, 1100, 100)]
    return regressor(TimeFirst(1, one_series=True), train=data[:10], val=data[10:])


@healthy
def as_many_classes_as_positions():
    class ByClass(Reader):
        """The same with classes before positions, as cross-entropy takes them."""

        def forward(self, x):
            """Logits (B, V, T)."""
            return super().forward(x).transpose(1, 2)

    return read(ByClass(), functional.cross_entropy, lambda text: text[:, 1:])


@healthy
def the_neighbours_of_every_token():
    def loss_fn(output, targets):
        logits = output.log_softmax(2).transpose(1, 2)
        after = functional.nll_loss(logits[..., :-1], targets[:, 1:])
        return after + functional.nll_loss(logits[..., 1:], targets[:, :-1])

    return read(Reader(classes=20), loss_fn, lambda text: text[:, :-1])


@healthy
def classes_that_hold_several_tokens():
    def loss_fn(output, targets):
        fine = functional.cross_entropy(output[..., :12].transpose(1, 2), targets)
        return fine + functional.cross_entropy(output[:, 1:, 12:].transpose(1, 2), targets[:, :-1] // 3)

    return read(Reader(classes=20), loss_fn, lambda text: text[:, 1:])


@healthy
def examples_without_a_label_as_rows_of_zeros():
    def loss_fn(output, targets):
        labelled = targets.sum(1) > 0
        return functional.mse_loss(output[labelled], targets[labelled])

    halves = [functional.one_hot(y, 3).float() for _, y in (classes(), classes(64, seed=1))]
    halves[0][::3] = 0
    data = [batched(x, y) for (x, _), y in zip((classes(), classes(64, seed=1)), halves, strict=True)]
    return regressor(mlp(8, 16, 3, last=nn.Softmax(dim=1)), train=data[0], val=data[1], loss_fn=loss_fn)


@healthy
def both_ways_of_a_cross_entropy():
    def loss_fn(output, targets):
        turned = functional.binary_cross_entropy(targets * 0.98 + 0.01, output)
        return functional.binary_cross_entropy(output, targets) + 0.1 * turned

    halves = [batched(x, (y == 0).float()[:, None]) for x, y in (classes(), classes(64, seed=1))]
    return regressor(mlp(8, 16, 1, last=nn.Sigmoid()), train=halves[0], val=halves[1], loss_fn=loss_fn)


@healthy
def batchnorm_behind_the_logits():
    return classifier(nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 3), nn.BatchNorm1d(3)))


@healthy
def tokens_with_time_first_and_classes_before_them():
    class Turned(Reader):
        """The same for texts (T, B)."""

        def forward(self, x):
            """Logits (T, V, B)."""
            return super().forward(x).transpose(1, 2)

    model = Turned(batch_first=False)
    text = tokens(175).T.contiguous()
    train = [(text[:-1, start : start + 25], text[1:, start : start + 25]) for start in range(0, 175, 25)]
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    return look(model, optimizer, train, None, functional.cross_entropy)


class Chunks(nn.Module):
    """A recurrent model that keeps its state, for parts of long sequences."""

    def __init__(self):
        super().__init__()
        self.state, self.layer, self.head = None, nn.GRU(1, 16, batch_first=True), nn.Linear(16, 1)

    def forward(self, x):
        """Numbers (B, T, 1)."""
        states, after = self.layer(x, self.state)
        self.state = after.detach()
        return self.head(states)


@healthy
def parts_of_sequences_one_after_the_other():
    model, x = Chunks(), torch.randn(256, 40, 1)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)

    def step(watcher, inputs, targets):
        model.state = None
        for start in range(0, 40, 10):
            part, wanted = inputs[:, start : start + 10], targets[:, start : start + 10]
            output = model(part)
            loss = functional.mse_loss(output, wanted)
            optimizer.zero_grad()
            loss.backward()
            watcher.after_backward((part, wanted), output, loss)
            optimizer.step()

    train = DataLoader(TensorDataset(x, x.cumsum(1) / 6), batch_size=32, shuffle=True)
    return look(model, optimizer, train, None, functional.mse_loss, step=step)


@healthy
def few_labels_beside_a_term_of_all_examples():
    def loss_fn(output, targets):
        known = targets >= 0
        labelled = functional.cross_entropy(output[known], targets[known]) if known.any() else output.sum() * 0
        return labelled - 0.1 * (output.softmax(1) * output.log_softmax(1)).sum(1).mean()

    x, y = classes()
    y = y.masked_fill(torch.rand(256, generator=torch.Generator().manual_seed(0)) < 0.9, -1)
    return classifier(mlp(8, 16, 3), train=batched(x, y), loss_fn=loss_fn)


@healthy
def ranks_of_lists_of_several_lengths():
    class Scores(nn.Module):
        """A score (B, 12) for each document of a list; there are no documents where the first feature is 9."""

        def __init__(self):
            super().__init__()
            self.layers = mlp(4, 16, 1)

        def forward(self, x):
            """Scores, -inf where there is no document."""
            return self.layers(x).squeeze(2).masked_fill(x[..., 0] == 9, -torch.inf)

    def lists(n, seed):
        generator = torch.Generator().manual_seed(seed)
        x = torch.randn(n, 12, 4, generator=generator)
        missing = torch.arange(12) >= torch.randint(3, 13, (n, 1), generator=generator)
        wanted = x[..., 1].masked_fill(missing, -torch.inf).softmax(1)
        return batched(x.masked_fill(missing[..., None], 9.0), wanted)

    def loss_fn(output, targets):
        return -(targets * output.log_softmax(1).masked_fill(output.isinf(), 0)).sum(1).mean()

    return classifier(Scores(), train=lists(256, 0), val=lists(64, 1), loss_fn=loss_fn)


@healthy
def nodes_of_which_the_others_have_no_label():
    def labelled(x, neighbours, y, picked):
        return (x, neighbours), y.masked_fill(~picked, -100)

    half = torch.rand(128, generator=torch.Generator().manual_seed(1))
    return nodes(labelled, train=half < 0.4, val=half > 0.6)
