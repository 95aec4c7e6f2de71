"""The statements of the poetry record: second computations of its numbers, and verdicts that turn with their input."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from goldmark.audit import Statement, answer, statements_of, variants_of
from goldmark.audit.poetry import _numbers as numbers
from goldmark.audit.poetry._bugs import BUGS
from goldmark.audit.poetry._trials import TRIALS
from goldmark.cases import case_at
from goldmark.checks import cosine_ceiling, participation_ratio

STATEMENTS = {statement.name: statement for statement in statements_of("poetry")}
TABLES = [  # every number of the trial tables, of the floors and of the fixture of independent words
    *(0.559, 0.899, 4.7, 0.465, 0.538, 0.560, 0.897, 5.1, 0.427, 0.540, 0.920, 0.972, 23.4, 0.319, 0.880),
    *(0.954, 0.985, 24.2, 0.303, 0.946, 0.950, 0.940, 0.554, 0.536, 0.497, 0.541, 6, 6, 0.448, 0.798),
    *(0.806, 0.859, 0.903, 0.953, 0.963, 0.965, 0.584, 0.947, 0.617, 0.960, 0.559, 0.872, 0.954, 0.971, 0.956),
]


def row_of(name, runs, scale="fast"):
    """The row of a statement on runs of its scale."""
    return answer("poetry", STATEMENTS[name], {scale: runs})


def changed(runs, change):
    """Runs whose metrics, in history too, went through a function of name and value."""

    def of(row):
        return {name: change(name, value) for name, value in row.items()}

    return {
        variant: [replace(run, metrics=of(run.metrics), history=tuple(map(of, run.history))) for run in several]
        for variant, several in runs.items()
    }


@pytest.fixture(scope="module")
def fast(runs_of):
    """The catalogue's runs of the variants that the statements read."""
    return runs_of("poetry", variants_of("poetry"))


@pytest.fixture(scope="module")
def full(fast):
    """Two runs of every variant at full size, with scores of a model on the plateau."""
    metrics = {metric.name: 0.62 for metric in case_at("poetry", "full").metrics}
    blank = [replace(run, scale="full", metrics=metrics) for run in fast["wide"]]
    return {name: [replace(run, variant=name) for run in blank] for name in variants_of("poetry", "full")}


# --- second computations


@pytest.mark.parametrize(
    ("name", "hidden", "code_size", "gates"),
    [("baseline", 64, 16, 1), ("scaled", 512, 16, 1), ("gru", 512, 16, 3)],
)
def test_parameters_are_those_of_the_layers_added_up(name, hidden, code_size, gates):
    """Two recurrent cells, two layers around the code, its norm, a start token and the output layer, by hand."""
    cell = gates * (hidden * (300 + hidden) + 2 * hidden)
    around = (hidden + 1) * code_size + 2 * code_size + (code_size + 1) * hidden
    expected = 2 * cell + around + 300 + (hidden + 1) * 300
    assert expected == row_of(f"{name}_parameters", {}).measured


def test_constant_scores_are_those_of_simulated_words():
    """Words of 300 numbers, of nearly one norm, in windows of 50: numpy's cosines with their mean, to 1 %."""
    share, rng = 1 - 0.095 / 0.164, np.random.default_rng(0)
    mean = rng.normal(size=300)
    mean *= math.sqrt(share) / np.linalg.norm(mean)
    words = mean + rng.normal(size=(60, 50, 300)) * math.sqrt((1 - share) / 300)

    def cosine(x):
        return float((x @ mean / np.linalg.norm(x, axis=-1) / np.linalg.norm(mean)).mean())

    assert cosine(words) == pytest.approx(row_of("constant_scores_65_by_token", {}).measured, rel=0.01)
    assert cosine(words.mean(axis=1)) == pytest.approx(row_of("constant_scores_98_by_window", {}).measured, rel=0.01)


@pytest.mark.parametrize("share", [0.996, 0.5, 1 / 16])
def test_participation_of_a_share_is_that_of_such_codes(share):
    """Codes with exactly these variances, to float64 rounding."""
    scale = torch.tensor([share] + [(1 - share) / 15] * 15, dtype=torch.float64).sqrt()
    codes = torch.cat([torch.diag(scale), -torch.diag(scale)])
    assert participation_ratio(codes) == pytest.approx(numbers.participation_of(share, 16), rel=1e-9)


@pytest.mark.parametrize("width", [0, 2, 5])
def test_attained_cosine_is_that_of_the_best_projection_and_below_the_ceiling(width):
    """Against numpy's singular vectors, to float64 rounding."""
    tokens = np.random.default_rng(0).normal(size=(40, 6)) + 0.5
    units = tokens / np.linalg.norm(tokens, axis=1, keepdims=True)
    best = np.linalg.svd(units)[2][: width + 1]
    projected = units @ best.T @ best
    cosines = (projected * units).sum(1) / np.linalg.norm(projected, axis=1)
    attained = numbers.attained_cosine(torch.from_numpy(tokens), width)
    assert cosines.mean() == pytest.approx(attained, rel=1e-9)
    assert attained <= cosine_ceiling(torch.from_numpy(tokens), width) + 1e-12  # rounding, where both are 1


def test_deviation_of_a_fresh_cosine_is_that_of_its_formula():
    """A cosine from the loaded rate f(r) on, f(r) f(t - r), beside f(t): the largest over r and t."""

    def factor(t):
        return (1 + math.cos(math.pi * t / 30)) / 2

    expected = max(abs(factor(r) * factor(t - r) - factor(t)) for r in range(1, 30) for t in range(r, 30))
    assert expected == pytest.approx(row_of("fresh_cosine_deviates", {}).measured, rel=1e-6)  # 30 recursive steps


def test_forced_share_of_the_curriculum_is_that_of_its_phases():
    """Seven epochs at .9, eight at .7, eight at .3, seven at .1."""
    expected = (7 * 0.9 + 8 * 0.7 + 8 * 0.3 + 7 * 0.1) / 30
    assert expected == pytest.approx(row_of("curriculum_forces_half", {}).measured, rel=1e-12)


def test_jump_of_the_temperature_is_that_of_tanh():
    """At a cosine of .62, on the way to a temperature of 1."""
    expected = 0.62 - math.tanh(0.62)
    assert expected == pytest.approx(row_of("temperature_jumps", {}).measured, abs=1e-5)  # a millionth away from 1


# --- the tables


def test_every_number_of_the_trial_tables_is_there():
    """Typed a second time from the tables; a range counts by its lower end."""
    assert sorted(TABLES) == sorted(statement.documented for statement in TRIALS)


@pytest.mark.parametrize("number", [0.5, 0.147, 0.869, 0.858, 0.454, 0.118, 0.0, 0.332, 0.586, 0.621, 1, 3, 4, -2.67])
def test_every_number_of_the_further_bugs_is_there(number):
    """Ratios, gaps, deviations, gates, R^2."""
    assert number in [statement.documented for statement in BUGS]


def test_statements_that_cannot_be_tested_give_a_reason():
    """No run, no arithmetic: the record's own files, or a variant that nobody trains and the command that would."""
    for statement in STATEMENTS.values():
        if not statement.parts:
            assert any(word in statement.why for word in ("record", "goldmark matrix poetry --only")), statement.name


# --- verdicts follow from their input


def test_no_verdict_holds_on_numbers_that_are_not_there(fast, full):
    """NaN in every metric of every run, at fast and at full size: no part of any statement holds."""
    lost = {"fast": changed(fast, lambda name, value: math.nan), "full": changed(full, lambda name, value: math.nan)}
    readings = {
        (statement.name, part.read(lost[statement.scale]))
        for statement in STATEMENTS.values()
        for part in statement.parts
        if part.variants
    }
    held = [(name, str(reading)) for name, reading in readings if reading.ok is not False]
    assert [] == held


def test_runs_of_the_documented_size_are_judged(full):
    """With full runs at hand every statement about them is answered, and without them none is."""
    for statement in STATEMENTS.values():
        if statement.scale == "full":
            assert "not testable here" != answer("poetry", statement, {"full": full}).answer, statement.name
            assert "not testable here" == answer("poetry", statement, {}).answer, statement.name


@pytest.mark.parametrize(
    ("statement", "metric", "shift"),
    [
        ("no_run_is_above_its_ceiling", "token_cosine", 0.5),
        ("no_run_is_above_its_r2_ceiling", "r2", 0.9),
        ("trial_wide_token_cosine", "token_cosine", -0.3),
        ("trial_wide_range", "token_cosine", 0.2),
        ("trial_narrow_decoder_rank", "decoder_rank", 5.0),
        ("iid_narrow_is_the_floor", "token_cosine", 0.1),
        ("iid_narrow_utilisation", "utilised_dims", -1.0),
        ("plateau_is_the_constant", "token_cosine", -0.1),
        ("widening_both_brings_95", "token_cosine", -0.05),
    ],
)
def test_a_confirmed_statement_turns_where_its_runs_are_others(fast, statement, metric, shift):
    """The same statement, on runs whose scores were moved."""
    moved = changed(fast, lambda name, value: value + shift * (name == metric))
    assert ("confirmed", True) == (row_of(statement, fast).answer, row_of(statement, moved).answer != "confirmed")


@pytest.mark.parametrize(
    ("statement", "metric", "shift"),
    [
        ("the_encoder_is_the_bottleneck", "token_cosine", 0.5),
        ("utilised_dimensions_are_filled", "code_rank", 5.0),
    ],
)
def test_a_refuted_statement_turns_where_its_runs_are_others(fast, statement, metric, shift):
    """What the record expected would be confirmed, had it come."""
    moved = changed(fast, lambda name, value: value + shift * (name == metric))
    assert ("refuted", "confirmed") == (row_of(statement, fast).answer, row_of(statement, moved).answer)


@pytest.mark.parametrize("cell", ["rnn", "gru"])
def test_a_count_of_another_model_does_not_confirm(cell):
    """An LSTM's documented parameters, beside those of other cells."""
    (part,) = STATEMENTS["lstm_parameters"].parts
    other = replace(part, compute=lambda: numbers.n_parameters(512, cell=cell))
    assert "refuted" == answer("poetry", replace(STATEMENTS["lstm_parameters"], parts=(other,)), {}).answer


def test_all_statements_are_statements_of_their_own():
    """A hundred and more, each with a name of its own."""
    statements = statements_of("poetry")
    assert len(STATEMENTS) == len(statements) >= 100
    assert all(isinstance(statement, Statement) for statement in statements)
