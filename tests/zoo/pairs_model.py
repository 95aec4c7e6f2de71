"""Pairs whose bug lies in the model: what it sees, shares, drops, and what its layers can carry."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional
from zoo.loops import batched, classes, classifier, images, look, mlp, pair, plain_step, regressor, tokens


class Transformer(nn.Module):
    """A tiny language model: attention, a position table, and a choice of bugs."""

    def __init__(self, *, causal=True, pad_id=None, vocabulary=12, width=16, tie=True, dropout=0.0):
        super().__init__()
        self.causal, self.pad_id, self.dropout = causal, pad_id, dropout
        self.embedding = nn.Embedding(vocabulary, width)
        self.positions = nn.Embedding(16, width)
        self.query, self.key, self.value = (nn.Linear(width, width) for _ in range(3))
        self.norm = nn.LayerNorm(width)
        self.feedforward = mlp(width, 32, width)
        self.head = nn.Linear(width, vocabulary, bias=False)
        if tie:
            self.head.weight = self.embedding.weight
            nn.init.normal_(self.embedding.weight, std=0.2)

    def forward(self, x):
        """Logits (B, T, V) of tokens (B, T)."""
        h = self.embedding(x) + self.positions(torch.arange(x.shape[1]))
        mask = torch.ones(x.shape[1], x.shape[1], dtype=torch.bool)
        mask = (mask.tril() if self.causal else mask).expand(len(x), 1, -1, -1)
        if self.pad_id is not None:
            mask = mask & (x != self.pad_id)[:, None, None, :]
        q, k, v = (layer(h)[:, None] for layer in (self.query, self.key, self.value))
        h = h + functional.scaled_dot_product_attention(q, k, v, attn_mask=mask, dropout_p=self.dropout)[:, 0]
        return self.head(self.norm(h + self.feedforward(h)))


def sequence_loss(output, targets):
    """Cross-entropy of (B, T, V) logits."""
    return functional.cross_entropy(output.flatten(0, 1), targets.flatten())


def language(model, *, shift=1, loss_fn=sequence_loss, intent=None, train=None):
    """Look at a next-token model."""
    text, val_text = tokens(), tokens(32, seed=1)
    halves = [batched(t[:, :10], t[:, shift : 10 + shift]) for t in (text, val_text)]
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    intent = {"causal": True, "tied": [("embedding.weight", "head.weight")]} if intent is None else intent
    return look(model, optimizer, train or halves[0], halves[1], loss_fn, intent=intent)


@pair("future_leak")
def attention_without_a_mask(bug):
    return language(Transformer(causal=not bug))


@pair("future_leak")
def a_leak_that_nobody_declared(bug):
    return language(Transformer(causal=not bug), intent={})


@pair("future_leak")
def convolution_padded_on_both_sides(bug):
    class Convolutional(nn.Module):
        """A causal convolution, padded on the left, or on both sides."""

        def __init__(self):
            super().__init__()
            self.embedding, self.convolution, self.head = nn.Embedding(12, 16), nn.Conv1d(16, 16, 3), nn.Linear(16, 12)

        def forward(self, x):
            """Logits (B, T, V)."""
            padded = functional.pad(self.embedding(x).transpose(1, 2), (1, 1) if bug else (2, 0))
            return self.head(self.convolution(padded).relu().transpose(1, 2))

    return language(Convolutional(), intent={"causal": True})


@pair("target_lag")
def the_target_is_the_input(bug):
    return language(Transformer(), shift=0 if bug else 1)


@pair("target_lag")
def shifted_in_the_data_and_in_the_loss(bug):
    def loss_fn(output, targets):
        return sequence_loss(output[:, :-1], targets[:, 1:]) if bug else sequence_loss(output, targets)

    return language(Transformer(), loss_fn=loss_fn)


def padded_text(n=128, seed=0):
    """Sequences (N, 10) of unlike lengths, padded with 0 on the right, and their next tokens."""
    text = tokens(n, seed=seed)[:, :11].clone()
    lengths = torch.randint(4, 11, (n,), generator=torch.Generator().manual_seed(seed))
    text[torch.arange(11)[None] > lengths[:, None]] = 0
    return text[:, :10], text[:, 1:]


@pair("padding_changes_loss")
def padding_counted_in_the_loss(bug):
    def loss_fn(output, targets):
        return functional.cross_entropy(output.flatten(0, 1), targets.flatten(), ignore_index=-100 if bug else 0)

    model, val = Transformer(), batched(*padded_text(32, seed=1))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    intent = {"causal": True, "pad_id": 0, "tied": [("embedding.weight", "head.weight")]}
    return look(model, optimizer, batched(*padded_text()), val, loss_fn, intent=intent)


@pair("padding_changes_output")
def mean_over_padding(bug):
    class Bag(nn.Module):
        """A mean of embeddings, over real tokens or over all."""

        def __init__(self):
            super().__init__()
            self.embedding, self.head = nn.Embedding(12, 16), nn.Linear(16, 2)

        def forward(self, x):
            """Logits (B, 2)."""
            weights = torch.ones_like(x) if bug else (x != 0).long()
            total = (self.embedding(x) * weights[..., None]).sum(1)
            return self.head(total / weights.sum(1, keepdim=True))

    x, _ = padded_text()
    val_x, _ = padded_text(32, seed=1)
    data = [batched(half, (half[:, 0] > 6).long()) for half in (x, val_x)]
    return classifier(Bag(), train=data[0], val=data[1], intent={"pad_id": 0})


@pair("batch_mixing")
def view_in_place_of_a_transpose(bug):
    class Recurrent(nn.Module):
        """An LSTM whose inputs are turned to (T, B, F), or only given that shape."""

        def __init__(self):
            super().__init__()
            self.lstm, self.head = nn.LSTM(2, 16), nn.Linear(16, 3)

        def forward(self, x):
            """Logits (B, 3) of tables (B, 8), read as 4 steps of 2 features."""
            steps = x.view(len(x), 4, 2)
            turned = steps.reshape(4, len(x), 2) if bug else steps.transpose(0, 1)
            return self.head(self.lstm(turned)[0][-1])

    return classifier(Recurrent())


@pair("batch_mixing")
def softmax_over_the_batch(bug):
    return classifier(nn.Sequential(mlp(8, 16, 16), nn.Softmax(dim=0 if bug else 1), nn.Linear(16, 3)))


@pair("dropout_in_eval")
def functional_dropout_is_always_on(bug):
    class Dropping(nn.Module):
        """A network that uses the functional form."""

        def __init__(self):
            super().__init__()
            self.first, self.last = nn.Linear(8, 16), nn.Linear(16, 3)

        def forward(self, x):
            """Logits (B, 3)."""
            h = self.first(x).relu()
            return self.last(functional.dropout(h, 0.3) if bug else functional.dropout(h, 0.3, self.training))

    return classifier(Dropping())


@pair("dropout_rate")
def share_to_keep_taken_for_share_to_drop(bug):
    return classifier(nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Dropout(0.9 if bug else 0.1), nn.Linear(32, 3)))


@pair("missing_sharing")
def output_layer_no_longer_tied(bug):
    return language(Transformer(tie=not bug))


@pair("undeclared_sharing")
def one_layer_three_times(bug):
    layers = [nn.Linear(8, 8)] * 3 if bug else [nn.Linear(8, 8) for _ in range(3)]
    return classifier(nn.Sequential(*(part for layer in layers for part in (layer, nn.ReLU())), nn.Linear(8, 3)))


@pair("half_tied")
def tied_by_data(bug):
    model = Transformer(tie=not bug)
    if bug:
        model.head.weight.data = model.embedding.weight.data
    return language(model, intent={"causal": True})


@pair("hidden_parameters")
def layers_in_a_plain_list(bug):
    class Listed(nn.Module):
        """Layers in a list."""

        def __init__(self):
            super().__init__()
            layers = [nn.Linear(8, 8), nn.Linear(8, 8)]
            self.layers = layers if bug else nn.ModuleList(layers)
            self.head = nn.Linear(8, 3)

        def forward(self, x):
            """Logits (B, 3)."""
            for layer in self.layers:
                x = layer(x).relu()
            return self.head(x)

    return classifier(Listed())


@pair("hidden_parameters")
def a_weight_that_is_no_parameter(bug):
    class Scaled(nn.Module):
        """A network with a trainable scale."""

        def __init__(self):
            super().__init__()
            scale = torch.ones(16, requires_grad=True)
            self.scale = scale if bug else nn.Parameter(scale.detach())
            self.first, self.last = nn.Linear(8, 16), nn.Linear(16, 1)

        def forward(self, x):
            """Numbers (B, 1)."""
            return self.last(self.first(x).relu() * self.scale)

    return regressor(Scaled())


@pair("symmetric_units")
def weights_that_start_at_a_constant(bug):
    model = mlp(8, 16, 1)
    if bug:
        for parameter in model.parameters():
            nn.init.constant_(parameter, 0.1)
    return regressor(model)


@pair("dead_units")
def biases_that_silence_all_units(bug):
    model = mlp(8, 16, 16, 3)
    if bug:
        nn.init.constant_(model[0].bias, -20.0)
    return classifier(model)


@pair("silent_units")
def a_bias_that_silences_a_layer_unseen_by_preflight(bug):
    from goldmark import watch

    model = mlp(8, 16, 16, 3)
    if bug:
        nn.init.constant_(model[2].bias, -20.0)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    with watch(model, optimizer) as watcher:
        for inputs, targets in batched(*classes()) * 3:
            plain_step(watcher, model, optimizer, inputs, targets)
    return list(watcher.findings.names)


@pair("affine_network")
def convolutions_without_an_activation(bug):
    between = nn.Identity if bug else nn.ReLU
    layers = (nn.Conv2d(1, 8, 3, padding=1), between(), nn.Conv2d(8, 8, 3, padding=1), between())
    model = nn.Sequential(*layers, nn.Flatten(), nn.Linear(512, 2))
    return classifier(model, train=batched(*images()), val=batched(*images(32, seed=1)), lr=1e-3)


@pair("affine_network")
def layers_without_an_activation(bug):
    return regressor(mlp(8, 32, 32, 1, activation=nn.Identity if bug else nn.Tanh))


@pair("vanishing_gradient")
def ten_layers_of_sigmoids(bug):
    return regressor(mlp(8, *[16] * 10, 1, activation=nn.Sigmoid if bug else nn.ReLU))


@pair("inputs_ignored")
def outputs_made_of_the_bias_alone(bug):
    class Overwritten(nn.Module):
        """A network that loses its input on the way, or does not."""

        def __init__(self):
            super().__init__()
            self.first, self.last = nn.Linear(8, 16), nn.Linear(16, 3)

        def forward(self, x):
            """Logits (B, 3)."""
            h = self.first(torch.zeros_like(x) if bug else x)
            return self.last(h.relu())

    return classifier(Overwritten())


class Translator(nn.Module):
    """A decoder that sees a source and its own past."""

    def __init__(self):
        super().__init__()
        self.source, self.past, self.head = nn.Embedding(12, 16), nn.Embedding(12, 16), nn.Linear(16, 12)
        self.cell = nn.GRU(16, 16, batch_first=True)

    def forward(self, source, past):
        """Logits (B, T, V)."""
        start = self.source(source).mean(1)[None]
        return self.head(self.cell(self.past(past), start)[0])


@pair("decoder_sees_target")
def a_decoder_that_is_fed_its_targets(bug):
    model = Translator()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    halves = []
    for text in (tokens(), tokens(32, seed=1)):
        source, past, following = text[:, :6], text[:, 6:12], text[:, 7:13]
        halves.append(
            [
                ((a, b), c)
                for (a, b), c in zip(
                    zip(source.split(32), (following if bug else past).split(32), strict=True),
                    following.split(32),
                    strict=True,
                )
            ]
        )

    return look(model, optimizer, *halves, sequence_loss, spread=True)


@pair("dropout_on_output")
def dropout_behind_the_last_layer(bug):
    return classifier(mlp(8, 32, 3, last=nn.Dropout(0.5)) if bug else mlp(8, 32, 3))


@pair("parameters_made_in_forward")
def a_layer_made_in_every_pass(bug):
    class Making(nn.Module):
        """A network whose middle layer is kept, or made anew."""

        def __init__(self):
            super().__init__()
            self.first, self.last = nn.Linear(8, 16), nn.Linear(16, 3)
            self.middle = None if bug else nn.Linear(16, 16)

        def forward(self, x):
            """Logits (B, 3)."""
            middle = self.middle or nn.Linear(16, 16)
            return self.last(middle(self.first(x).relu()).relu())

    return classifier(Making())
