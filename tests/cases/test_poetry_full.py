"""The full poetry matrix: documented architectures, and every shape of it trained in miniature."""

from __future__ import annotations

from dataclasses import asdict, fields, replace

import pytest
import torch
from torch import nn

from goldmark.case import Variant, settings_of
from goldmark.cases import case_at
from goldmark.cases.poetry import CASE
from goldmark.cases.poetry.autoencoder import PoetryAutoencoder
from goldmark.cases.poetry.full import DOCUMENTED, FULL, SMOKE
from goldmark.cases.poetry.objective import drawn_feed, forcing
from goldmark.cases.poetry.scores import score_forced
from goldmark.cases.poetry.verses import generate
from goldmark.training import draws
from goldmark.training.plan import Job
from goldmark.training.single import train_single
from goldmark.training.stacked import train_stacked

NAMES = [variant.name for variant in FULL.variants]
SHAPES = ("cell", "layers", "bidirectional", "attention_heads", "encoder_hidden", "decoder_hidden", "code_size")
SMALL = replace(
    CASE.settings, n_train=48, n_val=16, batch=8, steps=8, encoder_hidden=10, decoder_hidden=6, forcing="per step"
)


def shape_of(name):
    """What makes runs of another shape, teacher forcing among it."""
    settings = settings_of(FULL, name)
    return (*(getattr(settings, field) for field in SHAPES), settings.forcing is None)


def small_case(**changes):
    """Return the case with one variant a setting, on small data."""
    variants = [Variant(name, "a variant of a test", "option", None, change) for name, change in changes.items()]
    return replace(CASE, settings=SMALL, variants=tuple(variants), evaluate=score_forced)


# --- the matrix


@pytest.mark.parametrize(
    ("variant", "expected"),
    [
        ("narrow", 68_808),
        ("wide", 1_004_680),
        ("lstm", 3_513_992),
        ("gru", 2_671_752),
        ("attention", 10_182_616),
    ],
)
def test_full_size_has_the_documented_parameter_count(variant, expected):
    """The record's architectures, to the parameter."""
    with torch.device("meta"):
        model = CASE.make_model(settings_of(FULL, variant), {"train_tokens": torch.zeros(1, 50, 300)})
    assert expected == sum(parameter.numel() for parameter in model.parameters())


def test_every_variant_keeps_the_documented_sizes():
    """300 numbers a word, 50 words a window, batches of 16, 30 epochs, Adam at 1e-3 without a schedule, clip 1."""
    for name in NAMES:
        settings = settings_of(FULL, name)
        assert (300, 50, 16) == (settings.embedding, settings.length, settings.batch)
        assert (1e-3, None, 0.0, 1.0) == (settings.lr, settings.lr_min, settings.weight_decay, settings.clip)
        assert 30 == settings.steps / (settings.n_train // settings.batch)


def test_variants_change_something_and_name_what_exists():
    """No change repeats the value that was there; claims and documented numbers name variants and metrics."""
    metrics = {metric.name for metric in FULL.metrics}
    for variant in FULL.variants[1:]:
        own, of = asdict(settings_of(FULL, variant.name)), asdict(settings_of(FULL, variant.of))
        assert set(variant.changes) == {field for field in own if own[field] != of[field]}
        assert variant.seen_by in {*metrics, "contract", "none"}
    assert len(set(NAMES)) == len(NAMES)
    assert {name for claim in FULL.claims for name in claim.variants} | set(DOCUMENTED) <= set(NAMES)
    assert {metric for numbers in DOCUMENTED.values() for metric in numbers} <= metrics


def test_constant_scores_what_the_record_scored():
    """The mean token reaches the documented .62-.65 by token and .965-.99 by window, on both texts."""
    for name in ("wide", "iid_wide"):
        constant = FULL.baselines(generate(settings_of(FULL, name), 0), settings_of(FULL, name))[0].metrics
        assert 0.61 < constant["token_cosine"] < 0.66
        assert 0.965 < constant["sequence_cosine"] < 0.99


def test_miniature_keeps_widths_and_lengths():
    """Only the amount of data and of training shrinks."""
    small = case_at("poetry", "smoke")
    for name in NAMES:
        full, smoke = (asdict(settings_of(case, name)) for case in (FULL, small))
        assert set(SMOKE) == {field for field in full if full[field] != smoke[field]}


@pytest.mark.slow  # the miniature of the matrix takes every shape too
@pytest.mark.parametrize("name", list({shape_of(name): name for name in reversed(NAMES)}.values()))
def test_every_shape_trains_in_miniature(name):
    """Two steps of a stack change the loss, and every declared metric is a finite number."""
    (run,) = train_stacked([Job(case_at("poetry", "smoke"), name, 0)])
    assert {metric.name for metric in FULL.metrics} == set(run.metrics)
    assert torch.tensor([*run.metrics.values(), run.history[-1]["train_loss"]]).isfinite().all()


# --- stacks


@pytest.mark.filterwarnings("error::UserWarning")  # vmap says so where an operation falls back to a loop
@pytest.mark.parametrize(
    "shape",
    [
        {},
        {"cell": "gru", "bidirectional": True},
        {"cell": "lstm", "layers": 2, "attention_heads": 2, "encoder_hidden": 6},
        {"forcing": None},
        {"forcing": None, "cell": "gru"},
        {"forcing": None, "cell": "lstm"},
    ],
    ids=lambda shape: "-".join(map(str, shape.values())) or "rnn",
)
def test_stack_of_unlike_variants_gives_what_each_gives_alone(shape):
    """Text, objective and forcing reach a stack as tensors: the same stream and history, to 1e-9 in float64."""
    mixed = {
        "one": {**shape, "objective": "mse"},
        "two": {**shape, "objective": "hybrid", "text": "iid"},
        "three": {**shape, "objective": "cosine"} | ({} if "forcing" in shape else {"forcing": "leak"}),
    }
    jobs = [Job(small_case(**mixed), name, seed, dtype="float64") for seed, name in enumerate(mixed)]
    for job, stacked in zip(jobs, train_stacked(jobs), strict=True):
        alone = train_single(job)
        assert alone.stream == stacked.stream
        for row, other in zip(alone.history, stacked.history, strict=True):
            assert row == pytest.approx(other, rel=1e-9)


def test_ways_of_forcing_draw_the_same():
    """Runs of one seed pair, whatever their forcing: their streams are the same."""
    case = small_case(per_step={}, per_batch={"forcing": "per batch"}, leak={"forcing": "leak"})
    assert 1 == len({train_single(Job(case, variant.name, 0)).stream for variant in case.variants})


def test_stackable_settings_are_settings():
    """Each names a field, and none of them changes the shape of model or data."""
    names = {field.name for field in fields(CASE.settings)}
    assert CASE.stackable <= names
    assert not CASE.stackable & set(SHAPES)


# --- teacher forcing


def feeds(way, share, n_batches=200):
    """Draw the feeds of many batches in which a share of the steps is to be forced."""
    settings = replace(SMALL, forcing=way)
    data = generate(settings, 0) | {"step_forcing": torch.tensor(share, dtype=torch.float64)}
    tokens = data["train_tokens"][:3]
    return tokens, [drawn_feed(data, tokens, draws.Draws.at(0, step)) for step in range(n_batches)]


def test_forcing_per_step_mixes_within_a_batch_and_per_batch_does_not():
    """The documented bug shows in the structure: at .5 none of 200 batches is mixed, the share's sd .5, not .14."""
    shares = {
        way: [float(feed.forced.double().mean()) for feed in feeds(way, 0.5)[1]] for way in ("per step", "per batch")
    }
    mixed = {way: sum(0 < share < 1 for share in its) for way, its in shares.items()}
    assert {"per step": 200, "per batch": 0} == mixed  # 12 fair coins agree once in 2048
    deviations = {way: float(torch.tensor(its).std()) for way, its in shares.items()}
    assert pytest.approx({"per step": 0.144, "per batch": 0.5}, abs=0.03) == deviations  # 4 standard errors


def test_forced_step_is_fed_the_last_target_and_a_leak_the_next():
    """At step t a decoder is to write target t: target t - 1 is known by then, target t is the answer."""
    for way, shift in (("per step", 1), ("per batch", 1), ("leak", 0)):
        tokens, fed = feeds(way, 1.0, 1)
        assert fed[0].forced.all()
        assert torch.equal(tokens[:, 1 - shift : 12 - shift], fed[0].tokens[:, 1:])


def test_forcing_fades_in_the_documented_phases():
    """Epochs 1-7, 8-15, 16-23 and 24-30 force .9, .7, .3 and .1 of the steps."""
    shares = forcing(settings_of(FULL, "forced"))["step_forcing"].reshape(30, 25)
    assert [0.9] * 7 + [0.7] * 8 + [0.3] * 8 + [0.1] * 7 == shares[:, 0].tolist()
    assert torch.equal(shares, shares[:, :1].expand(30, 25))


@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
def test_fully_forced_decoder_is_the_layer_on_the_fed_words(cell):
    """With every step forced the decoder is torch's own layer on start token and targets, to float64 rounding."""
    tokens, (feed,) = feeds("per step", 1.0, 1)
    with draws.initial_weights(0):
        model = PoetryAutoencoder(
            embedding=48, encoder_hidden=5, decoder_hidden=7, code_size=3, dropout=0.0, cell=cell
        ).double()
    decoder, layer = (
        model.decoder,
        {"rnn": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}[cell](48, 7, batch_first=True).double(),
    )
    layer.load_state_dict({f"{name}_l0": tensor for name, tensor in decoder.cells[0].state_dict().items()})
    codes, memory = model.encode(tokens)
    initial = [linear(codes).tanh()[None] for linear in decoder.from_code]
    fed = torch.cat([decoder.start.expand(3, 1, -1), tokens[:, :-1]], dim=1)
    states, _ = layer(fed, tuple(initial) if cell == "lstm" else initial[0])
    torch.testing.assert_close(states, decoder(codes, memory, feed)[0], rtol=1e-10, atol=1e-12)


# --- cells


@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
def test_folded_free_running_is_the_plain_one(cell):
    """Folding the output layer into the recurrence changes neither outputs nor gradients, to float64 rounding."""
    tokens, _ = feeds("per step", 0.0, 1)
    with draws.initial_weights(0):
        model = PoetryAutoencoder(
            embedding=48, encoder_hidden=5, decoder_hidden=7, code_size=3, dropout=0.0, cell=cell
        ).double()
    nothing_forced = drawn_feed(
        {"step_forcing": torch.zeros(()), **forcing(replace(SMALL, steps=1))} | {"step_forcing": torch.zeros(())},
        tokens,
        draws.Draws.at(0, 0),
    )
    folded, plain = (model(tokens, feed=feed) for feed in (None, nothing_forced))
    torch.testing.assert_close(plain, folded, rtol=1e-10, atol=1e-12)
    for a, b in zip(
        *(torch.autograd.grad(y.pow(3).sum(), list(model.parameters())) for y in (plain, folded)), strict=True
    ):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-11)
