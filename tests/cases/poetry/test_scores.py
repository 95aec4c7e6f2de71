"""Every score of the poetry case a second time with numpy, its baselines, ceilings and findings, near their limits."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from goldmark.cases.poetry import CASE
from goldmark.cases.poetry.scores import evaluate, examine, forced_gap, other_windows, token_bounds
from goldmark.checks import cosine_ceiling
from goldmark.training import draws

SHAPES = {"recurrent": {}, "attention": {"cell": "lstm", "layers": 2, "attention_heads": 2, "encoder_hidden": 4}}
SCORES = [
    "token_cosine",
    "sequence_cosine",
    "r2",
    "decoder_rank",
    "code_rank",
    "shuffled_code_cosine",
    "utilised_dims",
]


def cosines(a, b):
    """Return cosines along the last axis, with numpy."""
    return (a * b).sum(-1) / np.linalg.norm(a, axis=-1) / np.linalg.norm(b, axis=-1)


def participation(states):
    """Return the participation ratio by singular values, with numpy."""
    variances = np.linalg.svd(states - states.mean(0), compute_uv=False) ** 2
    return variances.sum() ** 2 / (variances**2).sum()


def make_model(settings, data):
    """A fresh model in evaluation mode, in float64."""
    with draws.initial_weights(0):
        return CASE.make_model(settings, data).double().eval()


def as_numpy(*tensors):
    """Tensors as arrays."""
    return [tensor.detach().numpy() for tensor in tensors]


class Planted(nn.Module):
    """A model of given codes, which answers with outputs for the codes in their order, and with others otherwise."""

    def __init__(self, codes, outputs, others):
        super().__init__()
        self.codes, self.outputs, self.others = codes, outputs, others

    def encode(self, tokens, valid=None):
        """Return the codes, and states that nobody looks at."""
        return self.codes, tokens

    def decoder(self, codes, memory):
        """Return outputs, which are the states too."""
        outputs = self.outputs if torch.equal(codes, self.codes) else self.others
        return outputs, outputs


# --- metrics


@pytest.fixture(scope="module", params=SHAPES)
def scores_twice(request, settings, data):
    """The scores of a shape of model, by numpy and by the case."""
    model = make_model(replace(settings, **SHAPES[request.param]), data)
    with torch.no_grad():
        return scores_by_numpy(model, data["val_tokens"]), evaluate(model, data)


def scores_by_numpy(model, windows):
    """Every score a second time from outputs, states and codes in free running; eigenvalues by singular values."""
    codes, memory = model.encode(windows)
    order = other_windows(40, codes.device)
    # every window decoded alone, with its own states and another's code
    shuffled = [model.decoder(codes[i : i + 1], memory[at : at + 1])[1] for at, i in enumerate(order.tolist())]
    swapped = torch.cat(shuffled).numpy()
    codes, states, outputs, tokens = as_numpy(codes, *model.decoder(codes, memory), windows)
    spread = ((tokens - tokens.mean((0, 1))) ** 2).sum()
    return {
        "token_cosine": np.mean([cosines(*pair) for pair in zip(tokens, outputs, strict=True)]),
        "sequence_cosine": cosines(tokens.mean(1), outputs.mean(1)).mean(),
        "r2": 1 - ((tokens - outputs) ** 2).sum() / spread,
        "decoder_rank": participation(states.reshape(-1, 4)),
        "code_rank": participation(codes),
        "shuffled_code_cosine": cosines(tokens, swapped).mean(),
        "utilised_dims": (codes.var(0, ddof=1) > 0.01).sum(),
    }


@pytest.mark.parametrize("score", SCORES)
def test_score_is_that_of_numpy(score, scores_twice):
    """Two ways of computing differ by rounding alone, 1e-9."""
    by_numpy, by_case = scores_twice
    assert by_numpy[score] == pytest.approx(by_case[score], rel=1e-9)


def test_scores_are_those_of_free_running(settings):
    """Even where training forces nearly every step, scores are taken while the model reads its own outputs."""
    free, forced = (CASE.make_data(replace(settings, forcing=way), 0) for way in (None, "leak"))
    model = make_model(settings, free)
    with torch.no_grad():
        one, other = evaluate(model, free), evaluate(model, forced)
    for score in SCORES:
        assert one[score] == other[score], score


@pytest.mark.parametrize(("variance", "expected"), [(0.0099, 0), (0.0101, 6), (1.0, 6)])
def test_a_code_dimension_counts_as_utilised_above_a_variance_of_a_hundredth(variance, expected, data):
    """The record's threshold, from both sides: sample variances over the windows."""
    codes = draws.normal(draws.key(0, 0, "codes"), (40, 6))
    codes = codes / codes.std(dim=0) * variance**0.5
    assert expected == evaluate(Planted(codes, data["val_tokens"], data["val_tokens"]), data)["utilised_dims"]


def test_utilised_dimensions_count_one_by_one(data):
    """Four of six dimensions vary: four are utilised."""
    codes = draws.normal(draws.key(0, 0, "codes"), (40, 6)) * torch.tensor([1, 1, 0, 1, 0.001, 1])
    assert 4 == evaluate(Planted(codes, data["val_tokens"], data["val_tokens"]), data)["utilised_dims"]


@pytest.mark.parametrize("scale", [1.0, 0.1])
def test_the_count_of_utilised_dimensions_is_of_the_norms_making(scale, settings, data):
    """The mechanism: codes that vary below the threshold, nearly all along one direction, count as utilised, all six.

    After the batch norm every dimension varies by about 1, however little it varied before, while all of them may say
    the same: the participation ratio stays near 1.
    """
    model = make_model(settings, data)
    with torch.no_grad():
        one = model.to_code.weight[:1].clone()
        rest = 0.01 * model.to_code.weight
        model.to_code.weight.copy_(scale * 0.1 * (one + rest))
        before = []
        model.norm.register_forward_hook(lambda _, inputs, __: before.append(inputs[0]))
        model.norm.momentum = 1.0  # what is kept is the last batch's
        model.train().encode(data["val_tokens"])
        scores = evaluate(model.eval(), data)
    assert (before[-1].var(dim=0) < 0.01).all()
    assert 6 == scores["utilised_dims"]
    assert scores["code_rank"] < 1.1


def test_shuffling_moves_nearly_every_code():
    """A permutation that leaves codes in their place would hide that they are used: at most 5 of 128 stay."""
    order = other_windows(128, torch.device("cpu"))
    assert list(range(128)) == sorted(order.tolist())
    assert (order == torch.arange(128)).sum() <= 5


@pytest.mark.parametrize("way", [None, "per step", "per batch", "leak"])
def test_forced_gap_is_that_of_torchs_own_layer(way, settings):
    """Token cosine of the plain layer on start token and targets, the next ones where it leaks, less free running's."""
    settings = replace(settings, forcing=way)
    data = CASE.make_data(settings, 0)
    model, tokens = make_model(settings, data), data["val_tokens"]
    layer = nn.RNN(48, 4, batch_first=True).double()
    layer.load_state_dict({f"{name}_l0": tensor for name, tensor in model.decoder.cells[0].state_dict().items()})
    fed = tokens[:, 1:] if way == "leak" else tokens[:, :-1]
    inputs = torch.cat([model.decoder.start.expand(40, 1, -1), fed], dim=1)
    codes, memory = model.encode(tokens)
    states, _ = layer(inputs, model.decoder.from_code[0](codes).tanh()[None])
    forced, free, targets = as_numpy(model.decoder.output(states), model.decoder(codes, memory)[1], tokens)
    with torch.no_grad():
        gap = forced_gap(model, data)
    assert cosines(forced, targets).mean() - cosines(free, targets).mean() == pytest.approx(gap, rel=1e-9)


def test_case_scores_what_it_declares(settings, data):
    """Each metric comes from one of the two evaluations, none from both."""
    model = make_model(settings, data)
    with torch.no_grad():
        often, once = CASE.evaluate(model, data, settings), CASE.evaluate_trained(model, data, settings)
    assert set() == set(often) & set(once)
    assert {metric.name for metric in CASE.metrics} | {"forced_gap"} == set(often) | set(once)


# --- what is reached without a code, and what no width exceeds


@pytest.mark.parametrize("score", ["token_cosine", "sequence_cosine", "r2"])
@pytest.mark.parametrize("baseline", ["constant", "mean_window"])
def test_baseline_ignores_the_window(baseline, score, settings, data):
    """The mean token and the mean window of the training half, scored on the validation half as numpy does."""
    train, val = as_numpy(data["train_tokens"], data["val_tokens"])
    answer = {"constant": train.mean((0, 1)), "mean_window": train.mean(0)}[baseline]
    answers = np.broadcast_to(answer, val.shape)
    expected = {
        "token_cosine": cosines(val, answers).mean(),
        "sequence_cosine": cosines(val.mean(1), answers.mean(1)).mean(),
        "r2": 1 - ((val - answers) ** 2).sum() / ((val - val.mean((0, 1))) ** 2).sum(),
    }
    by_name = {baseline.name: baseline.metrics for baseline in CASE.baselines(data, settings)}
    assert expected[score] == pytest.approx(by_name[baseline][score], rel=1e-9)


@pytest.mark.parametrize("width", [1, 4, 8, 47, 48])
def test_ceilings_are_those_of_singular_values(width, settings, data):
    """sqrt of the share of width + 1 directions, and the share of width components; 48 units reach all entries."""
    close = CASE.close(data, replace(settings, decoder_hidden=width))
    tokens = data["val_tokens"].numpy().reshape(-1, 48)
    units = tokens / np.linalg.norm(tokens, axis=1, keepdims=True)
    centred = tokens - tokens.mean(0)
    directions, components = (np.linalg.svd(x, compute_uv=False) ** 2 for x in (units, centred))
    # SVD against eigenvalues of the covariance, both in float64
    assert (directions[: width + 1].sum() / len(units)) ** 0.5 == pytest.approx(close["token_ceiling"], rel=1e-9)
    assert components[:width].sum() / components.sum() == pytest.approx(close["r2_ceiling"], rel=1e-9)


@pytest.mark.parametrize("width", [1, 4, 8])
def test_ceilings_are_attained_by_the_best_projection(data, settings, width):
    """The principal components reach the R^2 ceiling; the best subspace comes near the cosine ceiling from below."""
    tokens = data["val_tokens"].flatten(0, 1).numpy()
    close = CASE.close(data, replace(settings, decoder_hidden=width))
    centred = tokens - tokens.mean(0)
    basis = np.linalg.svd(centred, full_matrices=False)[2][:width]
    residual = centred - centred @ basis.T @ basis
    assert 1 - (residual**2).sum() / (centred**2).sum() == pytest.approx(close["r2_ceiling"], rel=1e-9)
    units = tokens / np.linalg.norm(tokens, axis=1, keepdims=True)
    plane = np.linalg.svd(units, full_matrices=False)[2][: width + 1]
    attained = cosines(units @ plane.T @ plane, units).mean()
    assert attained <= close["token_ceiling"] <= attained + 0.05  # Jensen's inequality costs the difference


def test_the_floor_is_the_constants_score(data, settings):
    """The mean training token's cosine, as in the baseline, as a metric and among the closed forms."""
    expected = cosines(data["val_tokens"].numpy(), data["train_tokens"].numpy().mean((0, 1))).mean()
    assert expected == pytest.approx(token_bounds(data, settings)["token_floor"], rel=1e-12)
    assert expected == pytest.approx(CASE.close(data, settings)["token_floor"], rel=1e-12)


# --- findings


def findings_of(model, data, settings):
    """The case's findings by name; the fresh model is not looked at."""
    with torch.no_grad():
        return {finding.name: finding for finding in CASE.examine(nn.Identity(), model, data, settings)}


def test_low_ceiling_is_trouble_below_a_token_cosine_of_nine_tenths(data, settings):
    """The widest decoder whose ceiling lies below .9 is in trouble, one unit more is not."""
    tokens = data["val_tokens"].flatten(0, 1)
    ceilings = [cosine_ceiling(tokens, width) for width in range(1, 48)]
    width = 1 + sum(ceiling < 0.9 for ceiling in ceilings)  # the first that reaches it
    for units, trouble in ((width - 1, True), (width, False)):
        narrow = replace(settings, decoder_hidden=units)
        finding = findings_of(make_model(narrow, data), data, narrow)["low_ceiling"]
        assert trouble is finding.trouble
        assert ceilings[units - 1] == finding.numbers["ceiling"]


def test_low_ceiling_names_the_decoder_width_alone(data):
    """An 80-unit encoder does not lift the ceiling that 8 decoder units set."""
    for variant, trouble in {"narrow": True, "encoder_only_wide": True, "decoder_only_wide": False}.items():
        settings = CASE.settings_of(variant)
        assert trouble is findings_of(make_model(settings, data), data, settings)["low_ceiling"].trouble, variant


@pytest.mark.parametrize(("kept", "trouble"), [(1.0, True), (0.97, True), (0.93, False), (0.0, False)])
def test_a_code_is_ignored_where_shuffling_costs_less_than_a_twentieth(kept, trouble, data, settings):
    """Planted outputs of cosine 1, and `kept` with shuffled codes: the threshold of .05 from both sides."""
    tokens = data["val_tokens"]
    noise = draws.normal(draws.key(0, 0, "noise"), tuple(tokens.shape))
    aside = noise - (noise * tokens).sum(-1, keepdim=True) / tokens.square().sum(-1, keepdim=True) * tokens
    aside = aside / aside.norm(dim=-1, keepdim=True) * tokens.norm(dim=-1, keepdim=True)
    others = kept * tokens + (1 - kept**2) ** 0.5 * aside
    codes = draws.normal(draws.key(0, 0, "codes"), (40, 6))
    findings = {f.name: f for f in examine(Planted(codes, tokens, others), data, settings)}
    assert trouble is findings["code_ignored"].trouble
    assert 1.0 == pytest.approx(findings["code_ignored"].numbers["score"], rel=1e-12)
    assert kept == pytest.approx(findings["code_ignored"].numbers["shuffled_score"], abs=1e-12)
