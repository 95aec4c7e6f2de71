"""Presets: their sizes, which one poems of a size get, the one line that trains it, and the command that does."""

from __future__ import annotations

import copy
import json
from dataclasses import replace

import pytest
import torch
from click.testing import CliRunner
from torch import nn

from goldmark.case import UsageError
from goldmark.cases.poetry import CASE, presets, train_autoencoder
from goldmark.cases.poetry.presets import PRESETS, chosen_preset, show_epoch
from goldmark.cli import program


def sized(name):
    """The recipe of a preset on nobody's poems."""
    preset = PRESETS[name]
    return replace(
        CASE.settings, encoder_hidden=preset.hidden, decoder_hidden=preset.hidden, code_size=preset.code_size
    )


@pytest.fixture
def n_parameters(monkeypatch):
    """Count the parameters of a preset's model, built without memory and, which would take seconds, initial weights."""
    for name in ("orthogonal_", "xavier_uniform_"):
        monkeypatch.setattr(nn.init, name, lambda parameter: parameter)

    def count(name, dimension):
        with torch.device("meta"):
            model = CASE.make_model(sized(name), {"train_tokens": torch.zeros(1, 50, dimension)})
        return sum(parameter.numel() for parameter in model.parameters())

    return count


def test_parameters_of_the_presets_hold_their_golden(golden, n_parameters):
    """Each preset on word vectors of 300 numbers, as GloVe's and word2vec's are, and of 48, as hashed words are."""
    golden.exact({f"{name} {dimension}": n_parameters(name, dimension) for name in PRESETS for dimension in (300, 48)})


@pytest.mark.parametrize("name", PRESETS)
def test_parameters_follow_from_the_sizes(name, n_parameters):
    """The sum of all weights and biases, written down a second time from the layers' definitions."""
    d, h, k = 300, PRESETS[name].hidden, PRESETS[name].code_size
    cell = h * d + h * h + 2 * h
    code = (h * k + k) + 2 * k  # and a gain and a shift of the norm
    assert 2 * cell + code + (k * h + h) + d + (h * d + d) == n_parameters(name, d)


def test_sizes_are_those_of_the_record():
    """Hidden units and code, smallest first."""
    expected = [("tiny", 32, 8), ("standard", 128, 16), ("large", 256, 20), ("xlarge", 512, 24), ("huge", 768, 32)]
    assert [*expected, ("research", 1024, 48)] == [(name, p.hidden, p.code_size) for name, p in PRESETS.items()]


@pytest.mark.parametrize(
    ("n_words", "expected"),
    [
        (20, "tiny"),
        (9_999, "tiny"),
        (10_000, "standard"),
        (50_000, "large"),
        (200_000, "xlarge"),
        (999_999, "xlarge"),
        (1_000_000, "huge"),
        (4_000_000, "research"),
    ],
)
def test_auto_follows_the_number_of_words(n_words, expected):
    """From its own bound on a preset is chosen, one word below it the one before."""
    assert expected == chosen_preset("auto", n_words)
    assert "large" == chosen_preset("large", n_words)


# --- one line


@pytest.fixture(scope="module")
def trained(poems_file, vectors_file):
    """A model after a few steps, and what was told while it trained."""
    told = []
    return train_autoencoder(
        str(poems_file), embeddings=vectors_file, steps=6, on_epoch=lambda *epoch: told.append(epoch)
    ), told


def test_one_line_returns_model_and_metrics_between_floor_and_ceiling(trained):
    """The model scores what the metrics say on the held-out poems; floor and ceiling are those of its width there."""
    result, _ = trained
    assert ("tiny", 32, 8) == (result.preset, result.model.decoder.output.in_features, result.model.norm.num_features)
    data = result.case.make_data(result.case.settings, 0)
    with torch.no_grad():
        scores = result.case.evaluate(copy.deepcopy(result.model).double(), data, result.case.settings)
    bounds = result.case.close(data, result.case.settings)
    expected = scores["token_cosine"], bounds["token_floor"], bounds["token_ceiling"]
    # trained and scored in float32
    assert expected == pytest.approx((result.metrics["token_cosine"], result.floor, result.ceiling), abs=1e-5)
    assert result.metrics["token_cosine"] <= result.ceiling
    assert result.case.data_source == result.run.data


def test_every_epoch_is_told(trained):
    """Number, count and training loss, in order, up to the last."""
    result, told = trained
    assert [(row["epoch"], len(told), row["train_loss"]) for row in result.run.history] == told


def test_progress_is_ten_lines_however_many_epochs(capsys):
    """On standard error, the last epoch among them."""
    for n in (10, 25, 400):
        for epoch in range(1, n + 1):
            show_epoch(epoch, n, 0.5)
        lines = capsys.readouterr().err.splitlines()
        assert (10, f"epoch {n} of {n}: training loss 0.5000") == (len(lines), lines[-1])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"preset": "giant"}, r"there is no preset 'giant'; there are: auto, tiny, standard, large, xlarge, huge, res"),
        ({"device": "tpu"}, r"device 'tpu' is unknown"),
    ],
)
def test_wrong_use_of_the_one_line_is_told(poems_file, arguments, message):
    """Before anything is trained."""
    with pytest.raises(UsageError, match=message):
        train_autoencoder(poems_file, **arguments)


def test_few_poems_train_longer_than_the_epochs_of_the_record(measured):
    """30 epochs of whole batches of 16 once that is more than 400 steps; 400 where poems are few."""
    assert 400 == measured.with_preset("auto").settings.steps
    many = replace(measured, texts=replace(measured.texts, poems=measured.texts.poems * 10))
    settings = many.with_preset("standard").settings
    windows = sum(max(0, -(-(len(poem) - 50) // 40)) + 1 for poem in many.texts.poems)
    assert 30 * int(0.8 * windows) // 16 == settings.steps
    assert (50, 16, 128, 128, 16) == (
        *(settings.length, settings.batch),
        *(settings.encoder_hidden, settings.decoder_hidden, settings.code_size),
    )


# --- the command


@pytest.fixture
def invoke(monkeypatch, tmp_path):
    """Run the program in an empty folder; what is to be trained takes four steps."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(presets, "FEWEST_STEPS", 4)
    monkeypatch.setattr(presets, "EPOCHS", 1)
    return lambda *arguments: CliRunner(env={"COLUMNS": "200"}).invoke(program, arguments, catch_exceptions=False)


def test_command_trains_one_model_and_shows_floor_and_ceiling(invoke, poems_file, tmp_path):
    """Exit 0, one row for the model, its epochs as they pass, and the same numbers as the one line gives."""
    done = invoke("run", "poetry", "--data", str(poems_file), "--preset", "auto", "--json", "out.json")
    assert 0 == done.exit_code
    assert "poetry tiny seed 0, epochs" in done.stderr
    assert "hashed to fixed vectors of 48 numbers" in done.stdout
    case = json.loads((tmp_path / "out.json").read_text())["cases"]["poetry"]
    assert (["tiny"], [0], []) == (list(case["variants"]), case["seeds"], case["claims"])
    shown = {name: metric["values"] for name, metric in case["variants"]["tiny"]["metrics"].items()}
    result = train_autoencoder(poems_file, steps=4, on_epoch=lambda *epoch: None)
    assert {name: [value] for name, value in result.metrics.items()} == shown
    assert f"{result.ceiling:.3g}" in done.stdout
    assert f"{result.floor:.3g}" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["poetry", "--preset", "auto"], "preset 'auto' is for your own poems; give them with --data FILE"),
        (["roast", "--preset", "tiny"], "case 'roast' has no presets; leave --preset out"),
        (["--preset", "tiny"], "--preset takes one case; for example: goldmark run poetry --data poems.json"),
        (["poetry", "--data", "POEMS", "--preset", "giant"], "there is no preset 'giant'; there are: auto, tiny"),
        (["poetry", "--data", "no.json", "--preset", "auto"], "no.json: cannot be read (No such file or directory)"),
    ],
)
def test_wrong_use_of_presets_exits_2_with_one_line_and_writes_nothing(
    invoke, poems_file, tmp_path, arguments, message
):
    """The value, what would be right, the way out."""
    done = invoke("run", *(str(poems_file) if part == "POEMS" else part for part in arguments))
    assert (2, [message]) == (done.exit_code, [message for line in done.stderr.splitlines() if message in line])
    assert 1 == len(done.stderr.splitlines())
    assert [] == list(tmp_path.iterdir())
