"""The poetry case: its generators, model, loss, scores and settings, each against something computed another way."""

from __future__ import annotations

from dataclasses import asdict, replace

import numpy as np
import pytest
import torch
from torch import nn

from goldmark.case import settings_of
from goldmark.cases.poetry import CASE, PoetrySettings, above_ceiling_of, examine
from goldmark.cases.poetry.objective import loss
from goldmark.cases.poetry.scores import baselines, ceilings, other_windows, score
from goldmark.cases.poetry.verses import generate, phrase_words, word_vectors, zipf_words
from goldmark.training import draws
from goldmark.training.plan import Job
from goldmark.training.single import train_single

SETTINGS = PoetrySettings()
SMALL = PoetrySettings(n_train=96, n_val=40, encoder_hidden=10, decoder_hidden=4, steps=6, batch=32)


@pytest.fixture
def data():
    """A small seed of the grammar."""
    return generate(SMALL, 0)


@pytest.fixture
def model(data):
    """A fresh model in evaluation mode, in float64 so that a second implementation can agree to rounding."""
    with draws.initial_weights(0):
        return CASE.make_model(SMALL, data).double().eval()


def cosines(a, b):
    """Return cosines along the last axis, with numpy."""
    return (a * b).sum(-1) / np.linalg.norm(a, axis=-1) / np.linalg.norm(b, axis=-1)


# --- data


@pytest.mark.parametrize("text", ["grammar", "iid"])
def test_data_have_the_stated_shapes_and_type(text):
    """512 training and 128 validation windows of 12 tokens of 48 entries, float64."""
    data = generate(replace(SETTINGS, text=text), 0)
    expected = {"train_tokens": (512, 12, 48), "val_tokens": (128, 12, 48)}
    halves = {name: tuple(tensor.shape) for name, tensor in data.items() if name.startswith(("train_", "val_"))}
    assert expected == halves
    assert {torch.float64} == {tensor.dtype for tensor in data.values()}


@pytest.mark.parametrize("text", ["grammar", "iid"])
def test_data_repeat_by_seed_and_differ_between_seeds(text):
    """A seed gives the same bits again, another one shares no value."""
    settings = replace(SMALL, text=text)
    first, again, other = generate(settings, 3), generate(settings, 3), generate(settings, 4)
    for name, tensor in first.items():
        assert torch.equal(tensor, again[name])
        assert tensor.dim() == 0 or not (tensor == other[name]).any()


def test_widths_do_not_touch_the_data():
    """Narrow and wide train on the same windows, so that their scores can be compared by seed."""
    wide, narrow = (generate(settings_of(CASE, name), 0) for name in ("wide", "narrow"))
    assert all(torch.equal(wide[name], narrow[name]) for name in wide)


def test_a_fifth_of_the_energy_is_the_common_mean():
    """Entries have mean square 1, of which the mean over words holds .2: both are set by scaling, so to rounding."""
    vectors = word_vectors(SETTINGS, 0)
    assert float(vectors.square().mean()) == pytest.approx(1.0, rel=1e-12)
    assert float(vectors.mean(dim=0).square().mean()) == pytest.approx(0.2, rel=1e-12)


def test_variance_falls_along_the_entries_with_the_stated_power():
    """Entry i varies as i^-.2: over 4000 words the fitted exponent is within .03 of it (standard error .004)."""
    own = word_vectors(replace(SETTINGS, vocabulary=4000), 0)
    slope = np.polyfit(np.log(np.arange(1, 49)), np.log(own.var(dim=0).numpy()), 1)[0]
    assert slope == pytest.approx(-0.2, abs=0.03)


def test_grammar_windows_are_two_phrases_of_six_words_each_of_their_own():
    """6 phrases, no word in two of them or twice in one, any window two of them."""
    words = phrase_words(SETTINGS, 0, 640)
    phrases = words.reshape(-1, 6).unique(dim=0)
    assert (6, 6) == tuple(phrases.shape)
    assert 36 == len(phrases.unique())
    assert words.max() < SETTINGS.vocabulary


def test_first_phrase_is_uniform_and_the_next_depends_on_it():
    """Over 6000 windows: 1000 of each first phrase within 5 standard errors (29 each), each with its own successors."""
    first, second = (words.unique(return_inverse=True)[1] for words in phrase_words(SETTINGS, 1, 6000)[:, [0, 6]].T)
    counts = np.zeros((6, 6))
    np.add.at(counts, (first.numpy(), second.numpy()), 1)
    assert (np.abs(counts.sum(axis=1) - 1000) < 145).all()
    shares = counts / counts.sum(axis=1, keepdims=True)
    # rows drawn from one distribution would differ by .11 at most (5 standard errors of a share of .5, two rows)
    assert all(np.abs(a - b).max() > 0.15 for i, a in enumerate(shares) for b in shares[:i])


def test_validation_windows_of_the_grammar_are_mostly_seen_in_training():
    """At least nine in ten: the fixture asks for capacity, not for generalisation."""
    data = generate(SETTINGS, 0)
    train, val = (data[f"{half}_tokens"].flatten(1) for half in ("train", "val"))
    assert float((val[:, None] == train[None]).all(dim=2).any(dim=1).double().mean()) > 0.9


def test_halves_share_no_window_of_independent_words():
    """Twelve independent words never repeat by chance: a window in both halves would be a leak."""
    data = generate(replace(SETTINGS, text="iid"), 0)
    train, val = (data[f"{half}_tokens"].flatten(1) for half in ("train", "val"))
    assert not (val[:, None] == train[None]).all(dim=2).any()


def test_iid_words_follow_zipf():
    """Over 48000 words each of the ten most frequent comes within 5 standard errors of its share 1 / (i H)."""
    words = zipf_words(SETTINGS, 0, 4000).flatten()
    shares = 1 / np.arange(1, 65) / (1 / np.arange(1, 65)).sum()
    counts = np.bincount(words.numpy(), minlength=64)
    errors = np.sqrt(len(words) * shares * (1 - shares))
    assert 64 == len(counts)
    assert (np.abs(counts - len(words) * shares) < 5 * errors)[:10].all()


def test_iid_words_are_independent_of_their_neighbors():
    """Neighbors are equal as often as two independent draws, within 5 standard errors (.0013 each)."""
    words = zipf_words(SETTINGS, 0, 4000)
    shares = 1 / np.arange(1, 65) / (1 / np.arange(1, 65)).sum()
    equal = float((words[:, 1:] == words[:, :-1]).double().mean())
    assert equal == pytest.approx(float((shares**2).sum()), abs=5 * 0.0013)


# --- model


@pytest.mark.parametrize(
    ("variant", "expected"),
    [("wide", 25_794), ("narrow", 1_530), ("encoder_only_wide", 11_898), ("decoder_only_wide", 15_426)],
)
def test_fast_scale_has_its_parameter_count(variant, expected):
    """The widths reach the model: each variant has the count that its sentence implies."""
    settings = settings_of(CASE, variant)
    model = CASE.make_model(settings, {"train_tokens": torch.zeros(1, 12, 48)})
    assert expected == sum(parameter.numel() for parameter in model.parameters())


def test_decoder_feeds_its_outputs_back(model, data):
    """The folded recurrence is free running: step by step, with each output as the next input, to float64 rounding."""
    codes, _ = model.encode(data["val_tokens"])
    decoder = model.decoder
    state = decoder.from_code[0](codes).tanh()
    word, stepwise = decoder.start.expand(len(codes), -1), []
    for _ in range(12):
        state = decoder.cells[0](word, state)
        word = decoder.output(state)
        stepwise.append(word)
    torch.testing.assert_close(torch.stack(stepwise, dim=1), model(data["val_tokens"]), rtol=1e-10, atol=1e-12)


def test_code_is_read_from_the_whole_window_in_order(model, data):
    """Every place counts, the first as the last, and so does the order of the words."""
    tokens = data["val_tokens"]
    for place in (0, 6, 11):
        changed = tokens.clone()
        changed[:, place] = 0
        assert not torch.allclose(model.encode(tokens)[0], model.encode(changed)[0], rtol=1e-9)  # rounding would pass
    assert not torch.allclose(model.encode(tokens)[0], model.encode(tokens.flip(1))[0])


def test_outputs_span_one_dimension_more_than_the_decoder_has_units(model, data):
    """The cause: 4 units write in 5 of 48 dimensions, trained or not."""
    assert np.linalg.matrix_rank(model(data["val_tokens"]).flatten(0, 1).detach().numpy()) <= 5


def test_dropout_is_keyed_and_only_with_draws(model, data):
    """Without draws nothing is dropped; with them a share of the encoder's last state, the same for the same key."""
    tokens = data["val_tokens"]
    step = draws.Draws.at(0, 0)
    dropped, _ = model.encode(tokens, step)
    assert {("last hidden state", (40, 10))} == step.used
    assert torch.equal(dropped, model.encode(tokens, draws.Draws.at(0, 0))[0])
    assert not torch.equal(dropped, model.encode(tokens, draws.Draws.at(0, 1))[0])
    assert torch.equal(model.encode(tokens)[0], model.encode(tokens)[0])
    assert not torch.equal(dropped, model.encode(tokens)[0])


def test_recurrent_weights_start_orthogonal(model):
    """As in the record: W W^T is the identity, to float32 rounding."""
    for weight in (model.reader.weight_hh_l0, model.decoder.cells[0].weight_hh):
        torch.testing.assert_close(weight @ weight.T, torch.eye(len(weight), dtype=torch.float64), rtol=0, atol=1e-5)


# --- loss and scores


class Answer(nn.Module):
    """A model that answers with given outputs."""

    def __init__(self, outputs):
        super().__init__()
        self.outputs = outputs

    def forward(self, tokens, draws, feed):
        """Return the outputs, whatever the tokens."""
        return self.outputs


def test_loss_is_cosine_and_squared_error_of_the_batch(data):
    """1 - mean cosine + mean squared error over the batch's rows, as in numpy, to float64 rounding."""
    rows = torch.tensor([3, 1, 8])
    outputs = draws.normal(draws.key(0, 0, "outputs"), (3, 12, 48))
    a, b = outputs.numpy(), data["train_tokens"].numpy()[rows.numpy()]
    expected = 1 - cosines(a, b).mean() + ((a - b) ** 2).mean()
    assert expected == pytest.approx(float(loss(Answer(outputs), data, rows, draws.Draws.at(0, 0), SMALL)), rel=1e-12)


def test_loss_minds_the_norm_of_an_output(data):
    """Perfect outputs cost nothing; twice as long ones point the right way and cost their squared error."""
    rows = torch.arange(8)
    tokens = data["train_tokens"][rows]
    perfect, doubled = (
        float(loss(Answer(factor * tokens), data, rows, draws.Draws.at(0, 0), SMALL)) for factor in (1, 2)
    )
    assert 0 == pytest.approx(perfect, abs=1e-12)  # float64 rounding of a cosine of 1
    assert float(tokens.square().mean()) == pytest.approx(doubled, rel=1e-12)


def test_loss_reaches_every_parameter(data):
    """A model in training gets a finite gradient everywhere; only the biases before BatchNorm may have none."""
    model = CASE.make_model(SMALL, data).double().train()
    loss(model, data, torch.arange(32), draws.Draws.at(0, 0), SMALL).backward()
    still = {name for name, p in model.named_parameters() if not p.grad.isfinite().all() or p.grad.abs().max() < 1e-12}
    assert still <= {"to_code.bias"}


def participation(states):
    """Return the participation ratio by singular values, with numpy."""
    variances = np.linalg.svd(states - states.mean(0), compute_uv=False) ** 2
    return variances.sum() ** 2 / (variances**2).sum()


def test_scores_agree_with_numpy(model, data):
    """Every metric computed a second time from outputs, states and codes; eigenvalues against singular values, 1e-9."""
    tokens = data["val_tokens"]
    codes, memory = (part.detach() for part in model.encode(tokens))
    states, outputs = (part.detach() for part in model.decoder(codes, memory))
    x, y = tokens.numpy(), outputs.numpy()
    swapped = model.decoder(codes[other_windows(40, codes.device)], memory)[1].detach().numpy()
    units = x.reshape(-1, 48) / np.linalg.norm(x.reshape(-1, 48), axis=1, keepdims=True)
    expected = {
        "token_cosine": cosines(x, y).mean(),
        "sequence_cosine": cosines(x.mean(1), y.mean(1)).mean(),
        "r2": 1 - ((x - y) ** 2).sum() / ((x - x.mean((0, 1))) ** 2).sum(),
        "token_ceiling": np.sqrt((np.linalg.svd(units, compute_uv=False)[:5] ** 2).sum() / len(units)),
        "token_floor": cosines(x, data["train_tokens"].numpy().mean((0, 1))).mean(),
        "decoder_rank": participation(states.numpy().reshape(-1, 4)),
        "code_rank": participation(codes.numpy()),
        "shuffled_code_cosine": cosines(x, swapped).mean(),
        "utilised_dims": (codes.numpy().var(0, ddof=1) > 0.01).sum(),
    }
    with torch.no_grad():
        assert expected == pytest.approx(score(model, data, SMALL), rel=1e-9)


def test_shuffling_moves_nearly_every_code():
    """A permutation that leaves codes in their place would hide that they are used: at most 5 of 128 stay."""
    order = other_windows(128, torch.device("cpu"))
    assert list(range(128)) == sorted(order.tolist())
    assert (order == torch.arange(128)).sum() <= 5


def test_baselines_ignore_the_window(data):
    """The mean token and the mean window of the training half, scored on the validation half as numpy does."""
    train, val = (data[f"{half}_tokens"].numpy() for half in ("train", "val"))
    constant, window = baselines(data, SMALL)
    assert ["constant", "mean_window"] == [constant.name, window.name]
    assert cosines(val, train.mean((0, 1))).mean() == pytest.approx(constant.metrics["token_cosine"], rel=1e-12)
    assert cosines(val, train.mean(0)).mean() == pytest.approx(window.metrics["token_cosine"], rel=1e-12)
    spread = ((val - val.mean((0, 1))) ** 2).sum()
    assert 1 - ((val - train.mean(0)) ** 2).sum() / spread == pytest.approx(window.metrics["r2"], rel=1e-9)


@pytest.mark.parametrize("width", [1, 4, 8])
def test_ceilings_are_attained_by_the_best_projection(data, width):
    """The principal components reach the R^2 ceiling; the best subspace comes near the cosine ceiling from below."""
    tokens = data["val_tokens"].flatten(0, 1).numpy()
    bounds = ceilings(data, replace(SMALL, decoder_hidden=width))
    centered = tokens - tokens.mean(0)
    basis = np.linalg.svd(centered, full_matrices=False)[2][:width]
    residual = centered - centered @ basis.T @ basis
    # SVD against eigenvalues of the covariance, both in float64
    assert 1 - (residual**2).sum() / (centered**2).sum() == pytest.approx(bounds["r2_ceiling"], rel=1e-9)
    units = tokens / np.linalg.norm(tokens, axis=1, keepdims=True)
    plane = np.linalg.svd(units, full_matrices=False)[2][: width + 1]
    attained = cosines(units @ plane.T @ plane, units).mean()
    assert attained <= bounds["token_ceiling"] <= attained + 0.05  # Jensen's inequality costs the difference


def test_findings_name_the_decoder_width_alone(data):
    """An 80-unit encoder does not lift the ceiling that 8 decoder units set."""
    for variant, trouble in {"narrow": True, "encoder_only_wide": True, "decoder_only_wide": False}.items():
        settings = settings_of(CASE, variant)
        model = CASE.make_model(settings, data).double().eval()
        with torch.no_grad():
            found = {finding.name: finding.trouble for finding in examine(model, model, data, settings)}
        assert trouble is found["low_ceiling"]


# --- variants and runs


@pytest.mark.parametrize(
    ("variant", "other", "expected"),
    [
        ("narrow", "wide", {"encoder_hidden": 8, "decoder_hidden": 8}),
        ("encoder_only_wide", "narrow", {"encoder_hidden": 80}),
        ("encoder_only_wide", "wide", {"decoder_hidden": 8}),
        ("decoder_only_wide", "narrow", {"decoder_hidden": 80}),
        ("decoder_only_wide", "wide", {"encoder_hidden": 8}),
        ("iid_narrow", "narrow", {"text": "iid"}),
        ("iid_wide", "wide", {"text": "iid"}),
    ],
)
def test_variant_differs_in_what_it_says_and_nothing_else(variant, other, expected):
    """The recipes of two variants differ in the named settings alone."""
    mine, theirs = (asdict(settings_of(CASE, name)) for name in (variant, other))
    assert expected == {name: value for name, value in mine.items() if value != theirs[name]}


def test_run_repeats_bit_by_bit():
    """The same seed gives the same metrics and the same stream; another seed gives others."""
    case = replace(CASE, settings=SMALL, variants=CASE.variants[:1])
    first, again, other = (train_single(Job(case, "wide", seed)) for seed in (0, 0, 1))
    assert first.metrics == again.metrics
    assert first.stream == again.stream
    assert first.metrics["token_cosine"] != other.metrics["token_cosine"]
    assert first.stream != other.stream


def test_score_above_the_narrow_ceiling_counts_only_on_the_same_seed():
    """Each wide run is held to the ceiling of the narrow run with its own seed; the worst gap is the value."""
    case = replace(CASE, settings=replace(SMALL, steps=1), variants=CASE.variants[:1])
    run = train_single(Job(case, "wide", 0))

    def scored(seed, cosine, ceiling):
        return replace(run, seed=seed, metrics={"token_cosine": cosine, "token_ceiling": ceiling})

    runs = {
        "wide": [scored(0, 0.9, 1.0), scored(1, 0.8, 1.0), scored(2, 0.1, 1.0)],
        "narrow": [scored(1, 0.5, 0.75), scored(0, 0.5, 0.6)],
    }
    verdict = above_ceiling_of("wide", "narrow", 0.04)(runs)
    assert (True, 2) == (verdict.ok, verdict.n_seeds)
    assert 0.05 == pytest.approx(verdict.value)
    assert above_ceiling_of("wide", "narrow", 0.06)(runs).ok is False
