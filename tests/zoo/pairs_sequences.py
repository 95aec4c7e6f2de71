"""Pairs of models of sequences: which steps are read of them, what padding changes, and views for permutations."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils.rnn import pack_padded_sequence, pad_sequence
from torch.utils.data import DataLoader
from zoo.loops import batched, classifier, look, mlp, pair, tokens


def trained(model, train, val, loss_fn=functional.cross_entropy, *, intent=None, epochs=2):
    """Look at a model that Adam trains on batches of two halves."""
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    return look(model, optimizer, train, val, loss_fn, intent=intent, epochs=epochs)


@pair("direction_of_one_step")
def the_last_output_of_both_directions(bug):
    class Classifier(nn.Module):
        """Two classes of token sequences, by what two directions end with."""

        def __init__(self):
            super().__init__()
            self.embedding, self.head = nn.Embedding(12, 8), nn.Linear(16, 2)
            self.layer = nn.LSTM(8, 8, batch_first=True, bidirectional=True)

        def forward(self, x):
            """Logits (B, 2)."""
            states, (last, _) = self.layer(self.embedding(x))
            return self.head(states[:, -1] if bug else torch.cat([last[-2], last[-1]], dim=1))

    halves = [batched(text, (text[:, 1] > 5).long()) for text in (tokens(128), tokens(64, seed=1))]
    return trained(Classifier(), *halves)


def sessions(n, seed):
    """Batches of ((tokens (B, 12), lengths (B,)), whether the last real token is a high one (B,)), padded with 0."""
    text = tokens(n, length=11, seed=seed)
    lengths = torch.randint(3, 12, (n,), generator=torch.Generator().manual_seed(seed))
    labels = (text[torch.arange(n), lengths - 1] > 5).long()
    text = text * (torch.arange(12) < lengths[:, None])
    parts = zip(text.split(32), lengths.split(32), labels.split(32), strict=True)
    return [((part, real), label) for part, real, label in parts]


@pair("padding_changes_output")
def the_last_step_of_sequences_that_are_filled_up(bug):
    class Classifier(nn.Module):
        """Two classes of token sequences, whose lengths the model is told."""

        def __init__(self):
            super().__init__()
            self.embedding, self.head = nn.Embedding(12, 8, padding_idx=0), nn.Linear(16, 2)
            self.layer = nn.GRU(8, 16, batch_first=True)

        def forward(self, told):
            """Logits (B, 2) for tokens and lengths."""
            x, lengths = told
            given = self.embedding(x)
            if bug:
                return self.head(self.layer(given)[0][:, -1])
            packed = pack_padded_sequence(given, lengths, batch_first=True, enforce_sorted=False)
            return self.head(self.layer(packed)[1][-1])

    return trained(Classifier(), sessions(128, 0), sessions(64, 1), intent={"pad_id": 0})


@pair("attention_to_padding")
def a_mask_that_is_true_where_words_are(bug):
    class Encoder(nn.Module):
        """Whether most words are high ones, by what a first position attends to, at one length."""

        def __init__(self):
            super().__init__()
            self.embedding, self.places = nn.Embedding(12, 16, padding_idx=0), nn.Parameter(torch.randn(12, 16) / 3)
            self.layer = nn.TransformerEncoderLayer(16, 2, 32, dropout=0.0, batch_first=True)
            self.head = nn.Linear(16, 2)

        def forward(self, x):
            """Logits (B, 2)."""
            mask = (x != 0) if bug else (x == 0)
            return self.head(self.layer(self.embedding(x) + self.places, src_key_padding_mask=mask)[:, 0])

    halves = [[(text, label) for (text, _), label in sessions(n, seed)] for n, seed in ((128, 0), (64, 1))]
    return trained(Encoder(), *halves, intent={"pad_id": 0})


def captions(n, seed):
    """Features (N, 8) and tokens (N, 6) that follow from them, filled up with 0."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(n, 8, generator=generator)
    words = 1 + torch.stack([(x[:, k] > 0) + 2 * (x[:, k + 1] > 0) for k in range(6)], dim=1)
    return x, words * (torch.arange(6) < torch.randint(2, 7, (n, 1), generator=generator))


@pair("padding_changes_loss")
def padding_of_captions_counted_in_the_loss(bug):
    def loss_fn(output, targets):
        return functional.cross_entropy(output.transpose(1, 2), targets, ignore_index=-100 if bug else 0)

    model = nn.Sequential(mlp(8, 32, 30), nn.Unflatten(1, (6, 5)))
    return trained(model, batched(*captions(128, 0)), batched(*captions(64, 1)), loss_fn, intent={"pad_id": 0})


def recordings(n, seed, length=18, channels=5):
    """Recordings (N, T, C) with a bump in one of three channels, and which (N,)."""
    generator = torch.Generator().manual_seed(seed)
    x, labels = torch.randn(n, length, channels, generator=generator), torch.randint(0, 3, (n,), generator=generator)
    x[torch.arange(n), 6:12, labels] += 2
    return x, labels


@pair("scrambled_view")
def channels_and_time_viewed_in_place_of_permuted(bug):
    class Convolutional(nn.Module):
        """Three classes of recordings (B, T, C), by convolutions over time."""

        def __init__(self):
            super().__init__()
            self.layers = nn.Sequential(nn.Conv1d(5, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool1d(1), nn.Flatten())
            self.head = nn.Linear(8, 3)

        def forward(self, x):
            """Logits (B, 3)."""
            n, length, channels = x.shape
            return self.head(self.layers(x.reshape(n, channels, length) if bug else x.permute(0, 2, 1)))

    return trained(Convolutional(), batched(*recordings(128, 0)), batched(*recordings(64, 1)))


@pair("scrambled_view")
def as_many_channels_as_divide_the_length(bug):
    class Recurrent(nn.Module):
        """Three classes of recordings (B, T, C), by what a recurrent layer ends with."""

        def __init__(self):
            super().__init__()
            self.first, self.layer, self.head = nn.Conv1d(6, 6, 3, padding=1), nn.GRU(6, 8), nn.Linear(8, 3)

        def forward(self, x):
            """Logits (B, 3)."""
            maps = self.first(x.transpose(1, 2)).relu()
            steps = maps.reshape(len(x), -1, 6) if bug else maps.transpose(1, 2)
            return self.head(self.layer(steps.transpose(0, 1))[1][-1])

    halves = [batched(*recordings(n, seed, channels=6)) for n, seed in ((128, 0), (64, 1))]
    return trained(Recurrent(), *halves)


class Attention(nn.Module):
    """Attention of two heads with a score for each distance back, which is shifted to its place.

    The shift views (B, H, T, T + 1) as (B, H, T + 1, T) and drops the first row (Huang et al. 2018, section 3.4).
    """

    def __init__(self, *, bug):
        super().__init__()
        self.bug = bug
        self.parts, self.out, self.distances = nn.Linear(12, 36), nn.Linear(12, 12), nn.Parameter(torch.randn(10, 6))

    def split(self, x):
        """Heads (B, 2, T, 6)."""
        n, length, _ = x.shape
        return x.reshape(n, 2, length, 6) if self.bug else x.view(n, length, 2, 6).transpose(1, 2)

    def forward(self, x):
        """What each position attends to (B, T, 12)."""
        n, length, _ = x.shape
        query, key, value = (self.split(part) for part in self.parts(x).chunk(3, dim=2))
        by_distance = functional.pad(query @ self.distances[-length:].T, (1, 0))
        shifted = by_distance.reshape(n, 2, length + 1, length)[:, :, 1:]
        scores = (query @ key.transpose(2, 3) + shifted) / 6**0.5
        hidden = torch.ones(length, length, dtype=torch.bool).triu(1)
        states = scores.masked_fill(hidden, -torch.inf).softmax(dim=3) @ value
        return self.out(states.transpose(1, 2).reshape(n, length, 12))


@pair("scrambled_view")
def heads_split_without_a_transpose(bug):
    model = nn.Sequential(nn.Embedding(12, 12), Attention(bug=bug), nn.Linear(12, 12))

    def loss_fn(output, targets):
        return functional.cross_entropy(output.transpose(1, 2), targets)

    halves = [batched(text[:, :10], text[:, 1:11]) for text in (tokens(128), tokens(64, seed=1))]
    return trained(model, *halves, loss_fn)


def transcripts(n, seed):
    """Batches of (spoken (B, 12, 8), texts (B, 3) of characters 1 to 4): three frames a character, the third silent."""
    generator = torch.Generator().manual_seed(seed)
    texts = torch.randint(1, 5, (n, 3), generator=generator)
    spoken = functional.one_hot(texts, 8).float().repeat_interleave(4, dim=1)
    spoken[:, 3::4] = 0
    return batched(spoken + 0.2 * torch.randn(spoken.shape, generator=generator), texts)


def transcribed(head, log_probabilities):
    """Look at a recogniser of which a connectionist temporal classification is given what `log_probabilities` makes."""

    def loss_fn(output, targets):
        lengths = [torch.full((len(targets),), n) for n in (12, 3)]
        return functional.ctc_loss(log_probabilities(output).transpose(0, 1), targets, *lengths)

    return trained(head, transcripts(128, 0), transcripts(64, 1), loss_fn)


@pair("normalized_outputs")
def alignment_of_raw_outputs(bug):
    class Recogniser(nn.Module):
        """Outputs (B, 12, 5) of both directions."""

        def __init__(self):
            super().__init__()
            self.layer, self.head = nn.GRU(8, 8, batch_first=True, bidirectional=True), nn.Linear(16, 5)

        def forward(self, x):
            """Logits, or their logarithms as probabilities."""
            output = self.head(self.layer(x)[0])
            return output if bug else output.log_softmax(2)

    return transcribed(Recogniser(), lambda output: output)


@pair("normalized_outputs")
def alignment_of_log_probabilities_over_time(bug):
    return transcribed(mlp(8, 16, 5), lambda output: output.log_softmax(1 if bug else 2))


class Strided(nn.Module):
    """Logits (B, T, 5) of speech (B, 12, 8) by two convolutions, of which each leaves out frames."""

    def __init__(self, *strides):
        super().__init__()
        self.layers = nn.ModuleList(
            nn.Conv1d(width, 16, 3, stride=stride, padding=1) for width, stride in zip((8, 16), strides, strict=True)
        )
        self.head = nn.Linear(16, 5)

    def forward(self, x):
        """One for each frame that is left."""
        h = x.transpose(1, 2)
        for layer in self.layers:
            h = layer(h).relu()
        return self.head(h.transpose(1, 2))


def strided(*strides):
    """Look at a recogniser whose loss passes over texts that do not fit their frames."""

    def loss_fn(output, targets):
        lengths = [torch.full((len(targets),), n) for n in (output.shape[1], 3)]
        logs = output.log_softmax(2).transpose(0, 1)
        return functional.ctc_loss(logs, targets, *lengths, zero_infinity=True)

    return trained(Strided(*strides), transcripts(128, 0), transcripts(64, 1), loss_fn)


@pair("too_few_frames")
def strides_that_leave_fewer_frames_than_characters(bug):
    return strided(3, 2 if bug else 1)


def texts(n, seed):
    """Texts of 4 to 12 tokens, and whether most of them are of the first ones."""
    generator = torch.Generator().manual_seed(seed)
    lengths = torch.randint(4, 13, (n,), generator=generator).tolist()
    whole = [torch.randint(1, 12, (length,), generator=generator) for length in lengths]
    return [(text, int((text < 6).float().mean() > 0.5)) for text in whole]


class Packed(nn.Module):
    """Two logits of the last state of each text, by layers that want the longest first; texts (B, T) or (T, B)."""

    def __init__(self, *, batch_first=True):
        super().__init__()
        self.batch_first, self.embedding = batch_first, nn.Embedding(12, 8, padding_idx=0)
        self.layer, self.head = nn.GRU(8, 16, batch_first=batch_first), nn.Linear(16, 2)

    def forward(self, x, lengths, places=None):
        """Logits (B, 2), of the texts at `places`."""
        _, last = self.layer(pack_padded_sequence(self.embedding(x), lengths, batch_first=self.batch_first))
        return self.head(last[-1] if places is None else last[-1][places])


def collated(collate_fn, model):
    """Look at a model of texts whose batches `collate_fn` makes."""
    train = DataLoader(texts(256, 0), batch_size=32, shuffle=True, collate_fn=collate_fn)
    val = DataLoader(texts(64, 1), batch_size=32, collate_fn=collate_fn)
    return classifier(model, train=train, val=val, intent={"pad_id": 0}, spread=True, epochs=2)


def longest_first(examples):
    """Return the examples, the longest first."""
    return sorted(examples, key=lambda example: -len(example[0]))


@pair("reordered_inputs")
def texts_sorted_by_length_without_their_labels(bug):
    def collate_fn(examples):
        ordered = longest_first(examples)
        whole, lengths = [text for text, _ in ordered], [len(text) for text, _ in ordered]
        labels = torch.tensor([label for _, label in (examples if bug else ordered)])
        return (pad_sequence(whole, batch_first=True), torch.tensor(lengths)), labels

    return collated(collate_fn, Packed())


@pair("reordered_inputs")
def texts_in_columns_sorted_without_their_labels(bug):
    def collate_fn(examples):
        ordered = longest_first(examples)
        whole, labels = [text for text, _ in ordered], [label for _, label in (examples if bug else ordered)]
        return (pad_sequence(whole), [len(text) for text in whole]), torch.tensor(labels)

    return collated(collate_fn, Packed(batch_first=False))
