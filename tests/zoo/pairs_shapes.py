"""Pairs whose bug lies in how a model reads its inputs: layout, positions, padding, modes; and what targets mean."""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn import functional
from zoo.loops import batched, classes, classifier, images, look, mlp, pair, regressor, tokens


def coloured(n, seed):
    """Pictures (N, 8, 8, 3) of a bright bar in one of the colours, and labels (N,)."""
    x, y = images(n, seed=seed)
    tint = torch.rand(n, 1, 1, 3, generator=torch.Generator().manual_seed(seed))
    return x[:, 0, :, :, None] * (0.2 + tint), y


@pair("viewed_channels")
def images_viewed_in_place_of_permuted(bug):
    class Convolutional(nn.Module):
        """Two classes of pictures whose channels come last."""

        def __init__(self):
            super().__init__()
            self.layers = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(288, 2))

        def forward(self, x):
            """Logits (B, 2)."""
            x = (x - 0.05) / 0.4
            return self.layers(x.reshape(-1, 3, *x.shape[1:3]) if bug else x.permute(0, 3, 1, 2))

    return classifier(Convolutional(), train=batched(*coloured(128, 0)), val=batched(*coloured(64, 1)), lr=1e-3)


def shaded(n, seed):
    """Pictures (N, 10, 10, 3) whose colours change slowly from pixel to pixel, dark at the top or at the bottom."""
    generator = torch.Generator().manual_seed(seed)
    labels, tint = torch.randint(0, 2, (n,), generator=generator), torch.rand(n, 1, 1, 3, generator=generator)
    slope = torch.linspace(-1, 1, 10)[:, None] * (2 * labels - 1)[:, None, None]
    x = slope[..., None] + 3 * tint + 0.1 * torch.randn(n, 10, 10, 3, generator=generator)
    return (x - 1.5) / 1.2, labels


@pair("interleaved_channels")
def images_viewed_before_they_are_batched(bug):
    def halves(n, seed):
        """Pictures of which the channels come first."""
        x, y = shaded(n, seed)
        return x.view(-1, 3, 10, 10) if bug else x.permute(0, 3, 1, 2), y

    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(512, 2))
    return classifier(model, train=batched(*halves(128, 0)), val=batched(*halves(64, 1)), lr=1e-3)


def sinusoids(length, width):
    """A table (1, L, D) of sines and cosines (Vaswani et al. 2017, section 3.5)."""
    angles = torch.arange(length)[:, None] / 1e4 ** (torch.arange(0, width, 2) / width)
    return torch.stack([angles.sin(), angles.cos()], dim=2).reshape(1, length, width)


class Encoder(nn.Module):
    """A classifier of token sequences: a table of positions, one layer of attention, a mean over positions."""

    def __init__(self, *, bug, learnt=False):
        super().__init__()
        self.bug = bug
        self.embedding = nn.Embedding(12, 16)
        if learnt:
            self.table = nn.Parameter(torch.randn(32, 16) * 0.1)
        else:
            self.register_buffer("table", sinusoids(32, 16))
        self.layer = nn.TransformerEncoderLayer(16, 2, 32, dropout=0.0, batch_first=True)
        self.head = nn.Linear(16, 2)

    def forward(self, x):
        """Logits (B, 2)."""
        length, table = x.shape[1], self.table.reshape(1, 32, 16)
        places = table[:, length] if self.bug else table[:, :length]
        return self.head(self.layer(self.embedding(x) * math.sqrt(16) + places).mean(1))


def sequences(n, seed):
    """Token sequences (N, 10) and whether the third token is a high one, (N,)."""
    x = tokens(n, seed=seed)[:, :10]
    return x, (x[:, 2] > 5).long()


def encoder(**how):
    """Look at an encoder of token sequences."""
    halves = batched(*sequences(128, 0)), batched(*sequences(64, 1))
    model = Encoder(**how)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    return look(model, optimizer, *halves, functional.cross_entropy)


@pair("one_position")
def sinusoids_of_the_length_for_all_positions(bug):
    return encoder(bug=bug)


@pair("one_position")
def a_learnt_row_of_the_length_for_all_positions(bug):
    return encoder(bug=bug, learnt=True)


@pair("padding_idx")
def a_token_in_use_as_padding_idx(bug):
    class Bag(nn.Module):
        """A mean of embeddings over the tokens that do not pad."""

        def __init__(self):
            super().__init__()
            self.embedding, self.head = nn.Embedding(12, 16, padding_idx=1 if bug else 0), mlp(16, 16, 2)

        def forward(self, x):
            """Logits (B, 2)."""
            there = (x != 0)[:, :, None]
            return self.head((self.embedding(x) * there).sum(1) / there.sum(1))

    def padded(n, seed):
        x, y = sequences(n, seed)
        lengths = torch.randint(5, 11, (n, 1), generator=torch.Generator().manual_seed(seed))
        return x * (torch.arange(10) < lengths), y

    return classifier(Bag(), train=batched(*padded(128, 0)), val=batched(*padded(64, 1)), intent={"pad_id": 0})


@pair("modes_not_switched")
def a_train_that_forgets_its_children(bug):
    class Switched(nn.Module):
        """A classifier with dropout that sets modes by itself."""

        def __init__(self):
            super().__init__()
            self.layers = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Dropout(0.2), nn.Linear(16, 3))

        def train(self, mode=True):  # noqa: FBT002
            """Set the mode."""
            if not bug:
                return super().train(mode)
            self.training = mode
            return self

        def eval(self):
            """Set evaluation mode, of all layers."""
            for module in self.modules():
                module.training = False
            return self

        def forward(self, x):
            """Logits (B, 3)."""
            return self.layers(x)

    return classifier(Switched())


@pair("modes_not_switched")
def an_eval_that_has_no_effect(bug):
    class Switched(nn.Module):
        """A classifier with BatchNorm that has its own train()."""

        def __init__(self):
            super().__init__()
            self.layers = nn.Sequential(nn.Linear(8, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 3))

        def train(self, mode=True):  # noqa: FBT002
            """Set the mode, or forget which."""
            return super().train() if bug else super().train(mode)

        def forward(self, x):
            """Logits (B, 3)."""
            return self.layers(x)

    return classifier(Switched())


@pair("classes_as_numbers")
def squared_errors_of_class_numbers(bug):
    halves = classes(), classes(64, seed=1)
    if bug:
        train, val = (batched(x, y.float()[:, None]) for x, y in halves)
        return regressor(mlp(8, 16, 1), train=train, val=val, intent={"n_classes": 3})
    return classifier(mlp(8, 16, 3), intent={"n_classes": 3})


class Table(nn.Module):
    """A regression on columns of categories, each with its embedding."""

    def __init__(self):
        super().__init__()
        self.columns, self.head = nn.ModuleList(nn.Embedding(8, 8) for _ in range(3)), mlp(24, 32, 1)

    def forward(self, x):
        """A number (B, 1) for codes (B, 3)."""
        return self.head(torch.cat([layer(x[:, k]) for k, layer in enumerate(self.columns)], dim=1))


def codes(n, seed):
    """Codes (N, 3) of uneven categories and numbers (N, 1) that depend on the first two."""
    generator = torch.Generator().manual_seed(seed)
    shares = torch.tensor([0.1, 0.05, 0.3, 0.2, 0.15, 0.2])
    x = torch.multinomial(shares, 3 * n, replacement=True, generator=generator).reshape(n, 3)
    effects = torch.tensor([0.0, 2.0, -1.0, 1.0, -2.0, 3.0])
    return x, (effects[x[:, 0]] + 0.5 * effects[x[:, 1]])[:, None] / 2 + 0.3 * torch.randn(n, 1, generator=generator)


@pair("category_numbering")
def an_encoder_fitted_again_on_validation_rows(bug):
    x, y = codes(1024, 0)
    val_x, val_y = codes(512, 1)
    kept = val_x[:, 0] != 1  # a rare category, of which validation has none
    val_x, val_y = val_x[kept], val_y[kept]
    if bug:
        val_x = torch.stack([column.unique(return_inverse=True)[1] for column in val_x.T], dim=1)
    return regressor(Table(), train=batched(x, y, 128), val=batched(val_x, val_y, 128))


@pair("category_numbering")
def categories_numbered_as_they_come(bug):
    def numbered(x):
        names = list(dict.fromkeys(x[:, 0].tolist())) if bug else range(8)
        return torch.stack([torch.tensor([names.index(one) for one in x[:, 0].tolist()]), x[:, 1], x[:, 2]], dim=1)

    (x, y), (val_x, val_y) = codes(1024, 0), codes(512, 3)
    return regressor(Table(), train=batched(numbered(x), y, 128), val=batched(numbered(val_x), val_y, 128))


@pair("truncated_codes")
def categories_that_were_scaled_with_the_other_columns(bug):
    def scaled(x):
        return (x / x.max(dim=0).values).long() if bug else x

    (x, y), (val_x, val_y) = codes(1024, 0), codes(512, 3)
    return regressor(Table(), train=batched(scaled(x), y, 128), val=batched(scaled(val_x), val_y, 128))
