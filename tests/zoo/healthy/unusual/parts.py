"""Models of several parts, of which some oppose each other, follow another, are frozen, or start at zero."""

from __future__ import annotations

import copy

import torch
from torch import nn
from torch.nn import functional
from zoo.healthy.register import healthy
from zoo.healthy.unusual.batches import data
from zoo.loops import Backbone, batched, classifier, follow, look, mlp, numbers, plain_step, tokens

from goldmark import watch


@healthy
def generator_and_discriminator():
    generator, discriminator = mlp(4, 16, 2), mlp(2, 16, 1)
    g_optimizer = torch.optim.Adam(generator.parameters(), lr=1e-3)
    d_optimizer = torch.optim.Adam(discriminator.parameters(), lr=1e-3)
    loss_fn, ones, zeros = functional.binary_cross_entropy_with_logits, torch.ones(32, 1), torch.zeros(32, 1)
    with watch(generator, g_optimizer) as g_watch, watch(discriminator, d_optimizer) as d_watch:
        for _ in range(120):
            real, z = torch.randn(32, 2) + 2, torch.randn(32, 4)
            d_optimizer.zero_grad()
            out = discriminator(real)
            loss = loss_fn(out, ones) + loss_fn(discriminator(generator(z).detach()), zeros)
            loss.backward()
            d_watch.after_backward((real, ones), out, loss)
            d_optimizer.step()
            g_optimizer.zero_grad()
            out = discriminator(generator(z))
            loss = loss_fn(out, ones)
            loss.backward()
            g_watch.after_backward((z, ones), out, loss)
            g_optimizer.step()
    return [*g_watch.findings.names, *d_watch.findings.names]


@healthy
def discriminator_in_two_backward_passes():
    generator, discriminator = (
        mlp(4, 16, 2),
        nn.Sequential(nn.Linear(2, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 1)),
    )
    g_optimizer = torch.optim.Adam(generator.parameters(), lr=1e-3)
    d_optimizer = torch.optim.Adam(discriminator.parameters(), lr=1e-3)
    loss_fn, ones, zeros = functional.binary_cross_entropy_with_logits, torch.ones(32, 1), torch.zeros(32, 1)
    with watch(discriminator, d_optimizer) as d_watch, watch(generator, g_optimizer) as g_watch:
        for _ in range(40):
            real, z = torch.randn(32, 2) + 1, torch.randn(32, 4)
            discriminator.zero_grad()
            loss_real = loss_fn(out := discriminator(real), ones)
            loss_real.backward()
            with torch.no_grad():
                fake = generator(z)
            loss_fake = loss_fn(discriminator(fake), zeros)
            loss_fake.backward()
            d_watch.after_backward((real, ones), out, loss_real + loss_fake)
            d_optimizer.step()
            generator.zero_grad()
            out = discriminator(generator(z))
            loss = loss_fn(out, ones)
            loss.backward()
            g_watch.after_backward((z, ones), out, loss)
            g_optimizer.step()
    return [*g_watch.findings.names, *d_watch.findings.names]


@healthy
def frozen_backbone():
    model = Backbone()
    optimizer = torch.optim.Adam(model.head.parameters(), lr=1e-2)
    how = {"intent": {"frozen": ["backbone"]}, "watch": {"frozen": ["backbone"]}}
    return look(model, optimizer, *data(), functional.cross_entropy, **how)


@healthy
def frozen_backbone_owned_and_undeclared():
    model = Backbone()
    return look(model, torch.optim.Adam(model.parameters(), lr=1e-2), *data(), functional.cross_entropy)


@healthy
def frozen_batchnorm():
    model = nn.Sequential(nn.Linear(8, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 3))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)

    def step(watcher, inputs, targets):
        model.train()
        model[1].eval()
        plain_step(watcher, model, optimizer, inputs, targets)

    return look(model, optimizer, *data(), functional.cross_entropy, step=step)


@healthy
def teacher_and_student():
    teacher, student = mlp(8, 32, 3), mlp(8, 16, 3)
    optimizer = torch.optim.Adam(student.parameters(), lr=1e-2)

    def distil(output, inputs):
        with torch.no_grad():
            soft = functional.softmax(teacher(inputs) / 2, dim=1)
        return functional.kl_div(functional.log_softmax(output / 2, dim=1), soft, reduction="batchmean") * 4

    def step(watcher, inputs, targets):
        output = student(inputs)
        terms = {"labels": functional.cross_entropy(output, targets), "teacher": distil(output, inputs)}
        loss = sum(terms.values())
        optimizer.zero_grad()
        loss.backward()
        watcher.after_backward((inputs, targets), output, loss, terms)
        optimizer.step()

    return look(student, optimizer, *data(), functional.cross_entropy, step=step)


class WithTarget(nn.Module):
    """A value network that keeps a slow copy of itself, as a module, trainable by its flags."""

    def __init__(self):
        super().__init__()
        self.online = mlp(8, 16, 1)
        self.target = copy.deepcopy(self.online)

    def forward(self, x):
        """Values (B, 1) of the online network."""
        return self.online(x)


@healthy
def moving_average_target_network():
    model = WithTarget()
    optimizer = torch.optim.Adam(model.online.parameters(), lr=1e-2)

    def step(watcher, inputs, targets):
        output = model(inputs)
        with torch.no_grad():
            bootstrap = targets + 0.5 * model.target(inputs.flip(0))
        loss = functional.smooth_l1_loss(output, bootstrap)
        optimizer.zero_grad()
        loss.backward()
        watcher.after_backward((inputs, targets), output, loss)
        optimizer.step()
        follow(model.target, model.online)

    halves = batched(*numbers()), batched(*numbers(64, seed=1))
    return look(model, optimizer, *halves, functional.mse_loss, step=step)


class TwoViews(nn.Module):
    """A network that predicts, of one view of a point, what a slow copy of itself makes of another view."""

    def __init__(self):
        super().__init__()
        self.online = nn.Sequential(nn.Linear(8, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 4))
        self.predictor = mlp(4, 8, 4)
        self.target = copy.deepcopy(self.online).requires_grad_(False)

    def forward(self, x):
        """Predictions and what they are to be, (B, 4) each."""
        one, other = (x + 0.1 * torch.randn_like(x) for _ in range(2))
        with torch.no_grad():
            wanted = self.target(other)
        return self.predictor(self.online(one)), wanted


@healthy
def a_slow_copy_that_is_declared_frozen():
    names = []
    for declared_as in (lambda part: [part], lambda part: list(part.parameters())):
        model = TwoViews()
        optimizer = torch.optim.Adam([*model.online.parameters(), *model.predictor.parameters()], lr=1e-2)
        with watch(model, optimizer, frozen=declared_as(model.target)) as watcher:
            for inputs, _ in data()[0] * 3:
                output = model(inputs)
                loss = 2 - 2 * functional.cosine_similarity(*output).mean()
                optimizer.zero_grad()
                loss.backward()
                watcher.after_backward(output=output, loss=loss)
                optimizer.step()
                follow(model.target, model.online)
        names += watcher.findings.names
    return names


@healthy
def output_layer_that_starts_at_zero():
    model = mlp(8, 16, 3)
    nn.init.zeros_(model[2].weight)
    nn.init.zeros_(model[2].bias)
    return classifier(model)


@healthy
def low_rank_adapter():
    class Adapted(nn.Module):
        """A frozen layer with a trained correction of rank 2, whose second factor starts at zero."""

        def __init__(self):
            super().__init__()
            self.frozen, self.head = nn.Linear(8, 16).requires_grad_(False), nn.Linear(16, 3).requires_grad_(False)
            self.down, self.up = nn.Linear(8, 2, bias=False), nn.Linear(2, 16, bias=False)
            nn.init.zeros_(self.up.weight)

        def forward(self, x):
            """Logits (B, 3)."""
            return self.head((self.frozen(x) + self.up(self.down(x))).relu())

    model = Adapted()
    optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=1e-2)
    return look(model, optimizer, *data(), functional.cross_entropy)


@healthy
def head_alone_with_a_declared_backbone():
    model = mlp(8, 16, 3)
    optimizer = torch.optim.Adam(model[2].parameters(), lr=1e-2)
    return look(model, optimizer, *data(), functional.cross_entropy, intent={"frozen": ["0"]})


class Told(nn.Module):
    """A classifier of token sequences that one row of a table is added to."""

    def __init__(self, row_of, *, placed):
        super().__init__()
        self.row_of, self.embedding, self.head = row_of, nn.Embedding(12, 16), mlp(16, 16, 2)
        self.stages = nn.Parameter(torch.randn(32, 16) * 0.1)
        self.positions = nn.Embedding(32, 16) if placed else None

    def forward(self, x):
        """Logits (B, 2)."""
        h = self.embedding(x) + self.stages[self.row_of(x)]
        h = h if self.positions is None else h + self.positions(torch.arange(x.shape[1]))
        return self.head(h.relu().mean(1))


def told(row_of, *, placed):
    """Look at such a classifier."""
    halves = [batched(x[:, :10], (x[:, 2] > 5).long()) for x in (tokens(), tokens(64, seed=1))]
    return classifier(Told(row_of, placed=placed), train=halves[0], val=halves[1])


@healthy
def a_row_of_a_table_for_the_stage_of_training():
    return told(lambda x: 3, placed=False)


@healthy
def a_row_of_a_table_for_the_length_beside_positions():
    return told(lambda x: x.shape[1], placed=True)


@healthy
def dropout_that_eval_leaves_on():
    class Bayesian(nn.Module):
        """A classifier that always drops."""

        def __init__(self):
            super().__init__()
            self.layers = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Dropout(0.2), nn.Linear(32, 3))

        def train(self, mode=True):  # noqa: FBT002
            """Stay in training mode."""
            return super().train()

        def forward(self, x):
            """Logits (B, 3)."""
            return self.layers(x)

    return classifier(Bayesian())


@healthy
def dropout_that_is_asked_for_in_every_mode():
    class Prenet(nn.Module):
        """A network whose narrow entrance always drops, as in Tacotron 2."""

        def __init__(self):
            super().__init__()
            self.first, self.rest = nn.Linear(8, 32), mlp(32, 16, 3)

        def forward(self, x):
            """Logits (B, 3)."""
            return self.rest(functional.dropout(self.first(x).relu(), p=0.2, training=True))

    return classifier(Prenet())


class OneEncoder(nn.Module):
    """One encoder with BatchNorm for two noisy views of an example, which are compared by a head."""

    def __init__(self):
        super().__init__()
        self.encode = nn.Sequential(nn.Linear(8, 16), nn.BatchNorm1d(16), nn.ReLU())
        self.head = nn.Linear(32, 3)

    def forward(self, x):
        """Logits (B, 3)."""
        views = [self.encode(x + 0.1 * torch.randn_like(x)) for _ in range(2)]
        return self.head(torch.cat(views, dim=1))


@healthy
def one_batchnorm_for_two_views_of_an_example():
    return classifier(OneEncoder(), epochs=8)


@healthy
def a_term_that_a_discriminator_trains_against():
    """It stays where it is, as it is meant to; the watch is told of it without its weight."""
    (x, y), model, judge = numbers(), nn.ModuleList([mlp(8, 16), mlp(16, 1)]), mlp(16, 16, 1)
    optimizers = [torch.optim.Adam(one.parameters(), lr=3e-4) for one in (model, judge)]
    loss_fn, sides = functional.binary_cross_entropy_with_logits, (torch.ones(16, 1), torch.zeros(16, 1))
    with watch(model, optimizers[0]) as watcher:
        for inputs, targets in batched(x, y) * 15:
            first, second = model[0](inputs).relu().chunk(2)
            optimizers[1].zero_grad()
            sum(loss_fn(judge(one.detach()), side) for one, side in zip((first, second), sides, strict=True)).backward()
            optimizers[1].step()
            output = model[1](torch.cat([first, second]))
            terms = {"error": functional.mse_loss(output, targets), "alike": loss_fn(judge(second), sides[0])}
            loss = terms["error"] + 0.005 * terms["alike"]
            optimizers[0].zero_grad()
            loss.backward()
            watcher.after_backward((inputs, targets), output, loss, terms)
            optimizers[0].step()
    return list(watcher.findings.names)
