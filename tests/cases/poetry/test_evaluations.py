"""Evaluations of a trained model: a golden on a fixed model, second computations, and what planted models must show."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from goldmark.cases.poetry import CASE
from goldmark.cases.poetry.evaluations import code_dimensions, evaluations, shuffled_codes
from goldmark.cases.poetry.scores import Reconstruction
from goldmark.training import draws


@pytest.fixture(scope="module")
def sections(settings, data, model):
    """All evaluations of a fresh model in float64, which writes much the same for every window."""
    return CASE.evaluations(model, data, settings)


def numbers_of(sections):
    """The numbers among all values, by section and name."""
    return {
        f"{section}: {name}": value
        for section, named in sections.items()
        for name, value in named.items()
        if not isinstance(value, str)
    }


def test_evaluations_of_a_fixed_model_hold_their_golden(golden, sections):
    """Weights and data follow from seeds, all of it in float64 but the weights' draw: another processor rounds that."""
    golden.close(numbers_of(sections), rel=1e-6)


def test_evaluations_agree_with_the_metrics_of_a_run(sections, settings, data, model):
    """What a run measures is found again, each under the name of its section."""
    with torch.no_grad():
        metrics = CASE.evaluate(model, data, settings) | CASE.evaluate_trained(model, data, settings)
    numbers = numbers_of(sections)
    for metric, place in {
        "token_cosine": "teacher forcing: free_cosine",
        "forced_gap": "teacher forcing: gap",
        "shuffled_code_cosine": "shuffled codes: shuffled_cosine",
        "utilised_dims": "code: utilised_dims",
        "code_rank": "code: participation",
        "decoder_rank": "code: decoder_participation",
        "token_floor": "floor and ceiling: token_cosine_floor",
        "token_ceiling": "floor and ceiling: token_cosine_ceiling",
        "r2": "floor and ceiling: r2",
    }.items():
        assert metrics[metric] == pytest.approx(numbers[place], rel=1e-12), metric
    assert numbers["teacher forcing: constant_cosine"] == metrics["token_floor"]


def test_codes_that_say_one_thing_count_as_utilised_and_fill_one_dimension():
    """The record's 16 of 16: copies of one number in five dimensions of six, and noise in the last."""
    codes = draws.normal(draws.key(0, 0, "codes"), (200, 1)).repeat(1, 6)
    codes[:, 5] = 0.2 * draws.normal(draws.key(0, 0, "noise"), (200,))
    section = code_dimensions(codes)
    variances = np.linalg.eigvalsh(np.cov(codes.numpy(), rowvar=False))
    assert (6, 6, 2) == (section["utilised_dims"], section["dims"], section["rank"])
    assert variances[-1] / variances.sum() == pytest.approx(section["first_component"], rel=1e-9)  # another algorithm
    assert variances.sum() ** 2 / (variances**2).sum() == pytest.approx(section["participation"], rel=1e-9)
    assert section["first_component"] > 0.98


@pytest.mark.parametrize(("others", "expected"), [(0.96, "ignored"), (0.94, "used")])
def test_codes_are_used_where_others_cost_a_twentieth(others, expected):
    """Outputs of a known cosine to the tokens: 1 with their own codes, a little less with others."""
    tokens = torch.tensor([1.0, 0.0], dtype=torch.float64).expand(3, 4, 2)
    turned = torch.tensor([others, (1 - others**2) ** 0.5], dtype=torch.float64).expand(3, 4, 2)
    section = shuffled_codes(Reconstruction(tokens, tokens, tokens, turned), {"val_tokens": tokens})
    assert {"own_cosine": 1.0, "shuffled_cosine": others, "loss": 1 - others} == pytest.approx(
        {name: section[name] for name in ("own_cosine", "shuffled_cosine", "loss")}, abs=1e-12
    )
    assert expected == section["code"]


def test_way_from_floor_to_ceiling_is_0_for_the_constant_and_1_for_the_best(settings, data, model):
    """An output layer of a bias alone writes the constant; who copies, with units for all entries, reaches all."""
    constant = CASE.make_model(settings, data).double().eval()
    with torch.no_grad():
        constant.decoder.output.weight.zero_()
        constant.decoder.output.bias.copy_(data["train_tokens"].mean(dim=(0, 1)))
    section = evaluations(constant, data, settings)["floor and ceiling"]
    assert 0 == pytest.approx(section["token_cosine_way"], abs=1e-9)
    assert 0 == pytest.approx(section["r2_way"], abs=1e-9)

    class Copying:
        """What is read is written."""

        def encode(self, tokens, valid=None):
            return tokens[:, 0, :6], tokens

        def decoder(self, codes, memory):
            return memory, memory

        def __call__(self, tokens, forcing=None, valid=None):
            return tokens

    section = evaluations(Copying(), data, replace(settings, decoder_hidden=48))["floor and ceiling"]
    assert (1, 1) == pytest.approx((section["token_cosine_way"], section["r2_way"]), abs=1e-9)
