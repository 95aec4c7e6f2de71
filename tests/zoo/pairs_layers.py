"""Pairs whose bug lies in one layer: what it can carry, and the statistics that it keeps."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional
from zoo.loops import batched, classes, classifier, images, mlp, pair, regressor


@pair("narrow_output")
def output_layer_fed_by_too_few_units(bug):
    class Decoder(nn.Module):
        """A code of two, and a decoder of some width, for 24 numbers."""

        def __init__(self):
            super().__init__()
            self.code, self.wide, self.last = (
                nn.Linear(24, 2),
                nn.Linear(2, 4 if bug else 64),
                nn.Linear(4 if bug else 64, 24),
            )

        def forward(self, x):
            """The inputs (B, 24), again."""
            return self.last(self.wide(self.code(x)).relu())

    x, val_x = (torch.randn(n, 24, generator=torch.Generator().manual_seed(n)) for n in (256, 64))
    return regressor(Decoder(), train=batched(x, x), val=batched(val_x, val_x))


@pair("activation_rank")
def a_decoder_without_its_activation(bug):
    encoder = nn.Sequential(nn.Linear(24, 32), nn.Tanh(), nn.Linear(32, 3))
    decoder = nn.Sequential(nn.Linear(3, 64), nn.Identity() if bug else nn.ReLU(), nn.Linear(64, 24))
    x, val_x = (torch.randn(n, 24, generator=torch.Generator().manual_seed(n)) for n in (256, 64))
    return regressor(nn.Sequential(encoder, decoder), train=batched(x, x), val=batched(val_x, val_x))


@pair("narrow_output")
def a_regression_of_many_numbers_through_three(bug):
    mixing = torch.randn(12, 20, generator=torch.Generator().manual_seed(7)) / 12**0.5
    halves = []
    for n in (256, 64):
        x, noise = torch.randn(n, 32, generator=torch.Generator().manual_seed(n)).split((12, 20), dim=1)
        halves.append(batched(x, (x + 0.3 * x.sin()) @ mixing + 0.1 * noise))
    return regressor(mlp(12, 64, 3 if bug else 32, 20), train=halves[0], val=halves[1])


@pair("batchnorm_of_one")
def batches_of_one_picture(bug):
    x, y = images(24 if bug else 96)
    model = nn.Sequential(nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(288, 2))
    return classifier(model, train=batched(x, y, 1 if bug else 8), val=batched(*images(32, seed=1)), epochs=1)


@pair("statistics_gap")
def momentum_of_another_library(bug):
    x, y = classes()
    val_x, val_y = classes(64, seed=1)
    norm = nn.BatchNorm1d(32, momentum=0.001 if bug else 0.1)
    model = nn.Sequential(nn.Linear(8, 32), norm, nn.ReLU(), nn.Linear(32, 3))
    return classifier(model, train=batched(x + 5, y, 16), val=batched(val_x + 5, val_y), epochs=5, lr=1e-3)


def normalising(momentum):
    """Look at a network with two BatchNorm layers on inputs of mean 0 and sd near 1."""
    layers = [nn.Linear(8, 32), nn.BatchNorm1d(32, momentum=momentum), nn.ReLU()]
    layers += [nn.Linear(32, 32), nn.BatchNorm1d(32, momentum=momentum), nn.ReLU(), nn.Linear(32, 3)]
    return classifier(nn.Sequential(*layers), train=batched(*classes(), 16), epochs=5)


@pair("statistics_gap")
def momentum_of_one_in_ten_thousand(bug):
    return normalising(1e-4 if bug else 0.1)


@pair("batchnorm_momentum")
def momentum_as_keras_means_it(bug):
    return normalising(0.99 if bug else 0.01)


@pair("batchnorm_on_output")
def a_regression_that_ends_in_batchnorm(bug):
    layers = [nn.Linear(8, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 1)]
    return regressor(nn.Sequential(*layers, *([nn.BatchNorm1d(1)] if bug else [])))


@pair("hidden_parameters")
def layers_in_lists_within_a_dict(bug):
    class Branches(nn.Module):
        """Two branches of layers, kept in containers of torch or of Python."""

        def __init__(self):
            super().__init__()
            branches = {name: [nn.Linear(8, 16), nn.ReLU()] for name in ("left", "right")}
            lists = {name: nn.ModuleList(layers) for name, layers in branches.items()}
            self.branches = branches if bug else nn.ModuleDict(lists)
            self.head = nn.Linear(16, 3)

        def forward(self, x):
            """Logits (B, 3)."""
            left, right = (layers[1](layers[0](x)) for layers in self.branches.values())
            return self.head(left + right)

    return classifier(Branches())


@pair("hidden_parameters")
def a_parameter_that_is_cast_after_it_is_made(bug):
    class Rotated(nn.Module):
        """A network on its inputs times a matrix of its own; it keeps what its layers gave last."""

        def __init__(self):
            super().__init__()
            drawn = 0.3 * torch.randn(8, 16).double()
            self.matrix = nn.Parameter(drawn).float() if bug else nn.Parameter(drawn.float())
            self.head, self.last = nn.Linear(16, 3), {}

        def forward(self, x):
            """Logits (B, 3)."""
            self.last["hidden"] = (x @ self.matrix).relu()
            return self.head(self.last["hidden"])

    return classifier(Rotated())


@pair("vanishing_gradient")
def a_row_of_sigmoids(bug):
    return classifier(mlp(8, *[16] * 7, 3, activation=nn.Sigmoid if bug else nn.ReLU), lr=1e-3)


@pair("saturated_units")
def weights_that_do_not_know_how_many_inputs_there_are(bug):
    model = mlp(8, 64, 64, 64, 1, activation=nn.Tanh)
    for layer in model[::2] if bug else ():
        nn.init.normal_(layer.weight)
    return regressor(model, lr=1e-3)


class Attention(nn.Module):
    """Attention of two heads (B, T, D) to (B, T, D), whose weights (B, 2, T, T) `normalized` makes of scores."""

    def __init__(self, width, normalized):
        super().__init__()
        self.parts, self.out, self.normalized = nn.Linear(width, 3 * width), nn.Linear(width, width), normalized

    def forward(self, x):
        """What each position attends to."""
        query, key, value = (part.unflatten(2, (2, -1)).transpose(1, 2) for part in self.parts(x).chunk(3, dim=2))
        weights = self.normalized(query @ key.transpose(2, 3) / query.shape[3] ** 0.5)
        return self.out((weights @ value).transpose(1, 2).flatten(2))


class Rows(nn.Module):
    """Two classes of images by their rows, of which each attends to all."""

    def __init__(self, attention):
        super().__init__()
        self.embed, self.attention = nn.Linear(8, 16), attention
        self.places, self.head = nn.Parameter(torch.randn(8, 16) / 3), mlp(16, 32, 2)

    def forward(self, x):
        """Logits (B, 2)."""
        x = self.embed(x.flatten(1, 2)) + self.places
        return self.head((x + self.attention(x)).mean(1))


@pair("softmax_over_heads")
def weights_that_add_up_to_one_over_the_heads(bug):
    model = Rows(Attention(16, lambda scores: scores.softmax(1 if bug else -1)))
    return classifier(model, train=batched(*images(128)), val=batched(*images(64, seed=1)), lr=3e-3, epochs=2)


class Attended(nn.Module):
    """Rows (B, T, D), each times how much the others, or it itself, attend to it: (B, T, D)."""

    def __init__(self, width, dim):
        super().__init__()
        self.query, self.key, self.dim = nn.Linear(width, 8), nn.Linear(width, 8), dim

    def forward(self, x):
        """What is attended to, more than the rest."""
        weights = (self.query(x) @ self.key(x).transpose(1, 2)).softmax(-1)
        return 0.5 * x * weights.sum(self.dim, keepdim=True).reshape(*x.shape[:2], 1)


@pair("summed_softmax")
def weights_that_are_summed_over_what_they_add_up_to_one_over(bug):
    model = Rows(Attended(16, -1 if bug else -2))
    return classifier(model, train=batched(*images(128)), val=batched(*images(64, seed=1)), lr=3e-3, epochs=2)


@pair("affine_network")
def layers_without_an_activation_before_a_sigmoid(bug):
    x, val_x = (torch.randn(n, 2, generator=torch.Generator().manual_seed(n)) for n in (256, 64))
    halves = [batched(one, (one.prod(dim=1, keepdim=True) > 0).float()) for one in (x, val_x)]  # exclusive or
    model = mlp(2, 16, 1, activation=nn.Identity if bug else nn.ReLU, last=nn.Sigmoid())
    return regressor(model, train=halves[0], val=halves[1], loss_fn=functional.binary_cross_entropy)


class OneNorm(nn.Module):
    """Three convolutions, and a BatchNorm for all of them or for each."""

    def __init__(self, n_norms):
        super().__init__()
        self.layers = nn.ModuleList(nn.Conv2d(1 if k == 0 else 6, 6, 3, padding=1) for k in range(3))
        self.norms, self.last = nn.ModuleList(nn.BatchNorm2d(6) for _ in range(n_norms)), nn.Linear(384, 2)

    def forward(self, x):
        """Logits (B, 2)."""
        x = 0.2 * x + 0.5  # of little contrast
        for place, layer in enumerate(self.layers):
            x = self.norms[place % len(self.norms)](layer(x)).relu()
        return self.last(x.flatten(1))


@pair("statistics_gap")
def one_batchnorm_for_three_convolutions(bug):
    return classifier(OneNorm(1 if bug else 3), train=batched(*images()), val=batched(*images(32, seed=1)), epochs=20)
