"""Steps, passes and examples that look wrong at a glance."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint
from zoo.healthy.register import healthy
from zoo.healthy.unusual.batches import data
from zoo.loops import Variational, batched, classes, classifier, look, look_at_terms, mlp, numbers, regressor, tokens
from zoo.pairs_model import Transformer, language, sequence_loss

from goldmark import preflight, watch


def accumulating(watch_arguments):
    """Look at a classifier that sums the gradients of four micro-batches of divided losses."""
    model = mlp(8, 16, 3)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    done = [0]

    def step(watcher, inputs, targets):
        output = model(inputs)
        loss = functional.cross_entropy(output, targets) / 4
        loss.backward()
        watcher.after_backward((inputs, targets), output, loss)
        done[0] += 1
        if done[0] % 4 == 0:
            nn.utils.clip_grad_norm_(model.parameters(), 0.1)
            optimizer.step()
            optimizer.zero_grad()

    train = batched(*classes(512), 16)
    how = {"step": step, "watch": watch_arguments}
    return look(model, optimizer, train, data()[1], functional.cross_entropy, **how)


@healthy
def accumulation():
    return accumulating({"accumulate": 4})


@healthy
def accumulation_undeclared():
    return accumulating({})


@healthy
def two_terms_back_propagated_one_after_another_and_declared_as_accumulated():
    model = mlp(8, 16, 4)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)

    def step(watcher, inputs, targets):
        optimizer.zero_grad()
        output = model(inputs)
        for part, of in ((output[:, :3], targets), (output[:, 3:], targets > 0)):
            if part.shape[1] == 1:
                loss = functional.binary_cross_entropy_with_logits(part[:, 0], of.float())
            else:
                loss = functional.cross_entropy(part, of)
            loss.backward(retain_graph=True)
            watcher.after_backward((inputs, of), part, loss)
        optimizer.step()

    return look(model, optimizer, *data(), functional.cross_entropy, step=step, watch={"accumulate": 2})


@healthy
def curriculum_without_shuffling():
    x, y = classes(512)
    order = x.norm(dim=1).argsort()
    return classifier(mlp(8, 16, 3), train=batched(x[order], y[order]))


@healthy
def gradient_checkpointing():
    class Checkpointed(nn.Module):
        """A network whose middle is computed twice."""

        def __init__(self, *, reentrant):
            super().__init__()
            self.first, self.middle, self.last, self.reentrant = (
                nn.Linear(8, 16),
                mlp(16, 16, 16),
                nn.Linear(16, 3),
                reentrant,
            )

        def forward(self, x):
            """Logits (B, 3)."""
            h = self.first(x).relu()
            return self.last(checkpoint(self.middle, h, use_reentrant=self.reentrant))

    return classifier(Checkpointed(reentrant=False)) + classifier(Checkpointed(reentrant=True))


@healthy
def bfloat16_autocast():
    model = mlp(8, 32, 3)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    scaler = torch.amp.GradScaler("cpu", init_scale=256.0)

    def step(watcher, inputs, targets):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            output = model(inputs)
            loss = functional.cross_entropy(output, targets)
        optimizer.zero_grad()
        scaler.scale(loss).backward()
        scaler.unscale_(optimizer)
        watcher.after_backward((inputs, targets), output, loss)
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        scaler.step(optimizer)
        scaler.update()

    return look(model, optimizer, *data(), functional.cross_entropy, step=step)


class Bag(nn.Module):
    """A mean of embeddings with sparse gradients."""

    def __init__(self):
        super().__init__()
        self.embedding, self.head = nn.Embedding(40, 16, sparse=True), nn.Linear(16, 2)

    def forward(self, x):
        """Logits (B, 2)."""
        return self.head(self.embedding(x).mean(1))


@healthy
def sparse_embeddings():
    model = Bag()
    sparse = torch.optim.SparseAdam(model.embedding.parameters(), lr=1e-2)
    dense = torch.optim.Adam(model.head.parameters(), lr=1e-2)
    text, val_text = tokens(256, vocabulary=40), tokens(64, vocabulary=40, seed=1)
    halves = [batched(half, (half[:, 0] > 20).long()) for half in (text, val_text)]
    names = [*preflight(model, [sparse, dense], *halves, functional.cross_entropy).names]
    with watch(model, sparse) as first, watch(model, dense) as second:
        for inputs, targets in halves[0] * 3:
            output = model(inputs)
            loss = functional.cross_entropy(output, targets)
            sparse.zero_grad()
            dense.zero_grad()
            loss.backward()
            first.after_backward((inputs, targets), output, loss)
            second.after_backward((inputs, targets), output, loss)
            sparse.step()
            dense.step()
    return [*names, *first.findings.names, *second.findings.names]


@healthy
def limited_memory_bfgs():
    model = mlp(8, 8, 1)
    optimizer = torch.optim.LBFGS(model.parameters(), lr=0.5, max_iter=8, line_search_fn="strong_wolfe")
    x, y = numbers()
    halves = [(x, y)], [numbers(64, seed=1)]
    names = [*preflight(model, optimizer, *halves, functional.mse_loss).names]
    with watch(model, optimizer) as watcher:
        for _ in range(10):

            def closure():
                optimizer.zero_grad()
                output = model(x)
                loss = functional.mse_loss(output, y)
                loss.backward()
                watcher.after_backward((x, y), output, loss)
                return loss

            optimizer.step(closure)
    return [*names, *watcher.findings.names]


@healthy
def monte_carlo_dropout():
    model = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Dropout(0.2), nn.Linear(32, 3))
    val = data()[1]

    def end(epoch):
        model.eval()
        for module in model.modules():
            if isinstance(module, nn.Dropout):
                module.train()
        with torch.no_grad():
            torch.stack([torch.cat([model(inputs) for inputs, _ in val]) for _ in range(5)]).std(0)

    return classifier(model, end=end)


@healthy
def monte_carlo_dropout_of_the_whole_model():
    model = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Dropout(0.2), nn.Linear(32, 3))
    val = data()[1]

    def end(epoch):
        model.train()
        with torch.no_grad():
            torch.stack([torch.cat([model(inputs) for inputs, _ in val]) for _ in range(5)]).std(0)

    return classifier(model, end=end)


@healthy
def variational_autoencoder():
    model = Variational()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)

    def terms_of(output, targets):
        made, mean, spread = output
        divergence = -0.5 * (1 + spread - mean.square() - spread.exp()).sum(1).mean()
        return {"made": functional.mse_loss(made, targets, reduction="sum") / len(targets), "kl": divergence}

    halves = [batched(x, x) for x, _ in (classes(), classes(64, seed=1))]
    return look_at_terms(model, optimizer, *halves, terms_of, epochs=8)


@healthy
def learnt_loss_weights():
    model, balance = mlp(8, 16, 2), nn.Parameter(torch.zeros(2))
    optimizer = torch.optim.Adam([*model.parameters(), balance], lr=1e-2)

    def loss_fn(output, targets):
        errors = (output - targets).square().mean(0)
        return (errors * (-balance).exp() + balance).sum()

    halves = [batched(x, torch.cat([y, x[:, :1]], dim=1)) for x, y in (numbers(), numbers(64, seed=1))]
    return look(model, optimizer, *halves, loss_fn)


@healthy
def monte_carlo_dropout_by_a_module():
    class AlwaysDropout(nn.Module):
        """A dropout that stays on."""

        def forward(self, x):
            """The inputs, some of them zero."""
            return functional.dropout(x, 0.2, training=True)

    return classifier(nn.Sequential(nn.Linear(8, 32), nn.ReLU(), AlwaysDropout(), nn.Linear(32, 3)))


@healthy
def sharpness_aware_minimisation():
    model = mlp(8, 16, 3)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

    def step(watcher, inputs, targets):
        optimizer.zero_grad()
        functional.cross_entropy(model(inputs), targets).backward()
        moves = [0.05 * p.grad / (p.grad.norm() + 1e-12) for p in model.parameters()]
        with torch.no_grad():
            for parameter, move in zip(model.parameters(), moves, strict=True):
                parameter.add_(move)
        optimizer.zero_grad()
        output = model(inputs)
        loss = functional.cross_entropy(output, targets)
        loss.backward()
        watcher.after_backward((inputs, targets), output, loss)
        with torch.no_grad():
            for parameter, move in zip(model.parameters(), moves, strict=True):
                parameter.sub_(move)
        optimizer.step()

    return look(model, optimizer, *data(), functional.cross_entropy, step=step)


@healthy
def a_state_that_is_carried_on():
    class Stateful(nn.Module):
        """A language model whose state lives on from batch to batch, cut from the graph."""

        def __init__(self):
            super().__init__()
            self.embedding, self.lstm, self.head = (
                nn.Embedding(12, 16),
                nn.LSTM(16, 16, batch_first=True),
                nn.Linear(16, 12),
            )
            self.state = None

        def forward(self, x):
            """Logits (B, T, V)."""
            if self.state is not None and self.state[0].shape[1] != len(x):
                self.state = None
            states, after = self.lstm(self.embedding(x), self.state)
            self.state = tuple(one.detach() for one in after)
            return self.head(states)

    return language(Stateful(), intent={"causal": True})


@healthy
def experts_that_wait_for_an_example():
    class Experts(nn.Module):
        """A mixture of four networks, each example sent to one of them."""

        def __init__(self):
            super().__init__()
            self.gate, self.experts = nn.Linear(8, 4), nn.ModuleList(mlp(8, 16, 3) for _ in range(4))
            nn.init.constant_(self.gate.bias[3:].data, -20.0)

        def forward(self, x):
            """Logits (B, 3)."""
            weight, chosen = self.gate(x).softmax(1).max(1)
            output = torch.zeros(len(x), 3)
            for place, expert in enumerate(self.experts):
                rows = (chosen == place).nonzero()[:, 0]
                if len(rows):
                    output = output.index_add(0, rows, expert(x[rows]) * weight[rows, None])
            return output

    return classifier(Experts())


@healthy
def all_four_cases_of_exclusive_or():
    x, y = torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]), torch.tensor([[0.0], [1.0], [1.0], [0.0]])
    model = mlp(2, 8, 1, activation=nn.Tanh)
    return regressor(model, train=[(x, y)], val=[(x.clone(), y.clone())], epochs=60)


@healthy
def labels_that_the_loss_shifts():
    def loss_fn(output, targets):
        return sequence_loss(output[:, :-1], targets[:, 1:])

    return language(Transformer(), shift=0, loss_fn=loss_fn)


@healthy
def differential_equation():
    model = mlp(1, 32, 32, 1, activation=nn.Tanh)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    with watch(model, optimizer) as watcher:
        for _ in range(40):
            t = torch.linspace(0, 1, 64)[:, None].requires_grad_()
            u = model(t)
            (slope,) = torch.autograd.grad(u.sum(), t, create_graph=True)
            terms = {"equation": (slope + u).square().mean(), "start": (model(torch.zeros(1, 1)) - 1).square().mean()}
            loss = sum(terms.values())
            optimizer.zero_grad()
            loss.backward()
            watcher.after_backward((t, None), u, loss, terms)
            optimizer.step()
    return list(watcher.findings.names)


@healthy
def a_critic_that_is_frozen_while_its_generator_trains():
    critic, generator = mlp(2, 16, 1), mlp(4, 16, 2)
    optimizers = [torch.optim.Adam(network.parameters(), lr=1e-3) for network in (critic, generator)]
    with watch(critic, optimizers[0]) as watcher:
        for _ in range(40):
            critic.requires_grad_(True)
            real, fake = torch.randn(32, 2) + 1, generator(torch.randn(32, 4)).detach()
            loss = functional.softplus(-critic(real)).mean() + functional.softplus(critic(fake)).mean()
            optimizers[0].zero_grad()
            loss.backward()
            watcher.after_backward(loss=loss)
            optimizers[0].step()
            critic.requires_grad_(False)
            optimizers[1].zero_grad()
            functional.softplus(-critic(generator(torch.randn(32, 4)))).mean().backward()
            optimizers[1].step()
    return list(watcher.findings.names)
