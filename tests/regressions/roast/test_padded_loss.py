"""RoastFormer's masked loss divided by padded cells too: its RMSE was a tenth too low, and lower than its MAE.

The record has an MAE of 291 F beside an RMSE of 272 F, which no set of cells can give.
"""

from __future__ import annotations

import pytest
import torch

from goldmark.cases.roast import CASE
from goldmark.cases.roast.data import halves
from goldmark.cases.roast.scores import baseline_rmses_f, generate_f, next_steps, score, score_generation
from goldmark.checks import check_padding_counted
from goldmark.training.draws import Draws


def padded_mean(model, data, settings):
    """The record's loss: masked errors over all cells, padded ones included."""
    predictions, targets = next_steps(model, data, "train")
    return ((predictions - targets).square() * data["train_valid"][:, 1:]).mean()


def unmasked_mean(model, data, settings):
    """No mask at all."""
    predictions, targets = next_steps(model, data, "train")
    return (predictions - targets).square().mean()


def training_loss(model, data, settings):
    """What goldmark trains on."""
    return CASE.loss(model, data, torch.arange(len(data["train_valid"])), Draws.at(0, 0), settings)


def training_mean(model, data, settings):
    """The mean temperature, by which targets are scaled."""
    rest = (data[f"train_{name}"] for name in ("categories", "flavors", "continuous"))
    everything = torch.ones(len(data["train_valid"]), dtype=torch.bool)
    return halves(data["train_temp_f"], data["train_valid"].sum(dim=1), *rest, everything)["temp_mean_f"]


RIGHT = {
    "the training loss": training_loss,
    "the validation loss": lambda model, data, settings: score(model, data)["val_loss"],
    "the RMSE": lambda model, data, settings: score(model, data)["rmse_f"],
    "the MAE": lambda model, data, settings: score(model, data)["teacher_forced_mae_f"],
    "the error of free-running curves": lambda *run: score_generation(generate_f(*run), run[1])["generation_mae_f"],
    "the baselines": lambda model, data, settings: sum(baseline_rmses_f(data).values()),
    "the mean of the targets": training_mean,
}


@pytest.fixture
def padding_in(small):
    """`padding_in(score)`: what the check says of a score of a model, data and settings."""
    settings, data, model = small()

    def counted(measure):
        def of_curves(temp_f, valid):
            curves = {f"{half}_temp_f": temp_f for half in ("train", "val")}
            with torch.no_grad():
                return measure(model, data | curves | {f"{half}_valid": valid for half in ("train", "val")}, settings)

        return check_padding_counted(of_curves, data["train_temp_f"], data["train_valid"])

    return counted


@pytest.mark.parametrize("name", RIGHT)
def test_padded_cells_count_nowhere(padding_in, name):
    """Loss, scores, baselines and scale stay what they are, whatever padded cells hold and however many there are."""
    finding = padding_in(RIGHT[name])
    assert not finding.trouble, f"padded cells are in {name}: {finding}"


def test_record_s_loss_counts_padded_cells(padding_in):
    """Masked errors over all cells: what padded cells hold does not matter, and their number does."""
    finding = padding_in(padded_mean)
    assert finding.trouble
    assert 0 == finding.numbers["change_by_their_values"]
    assert padding_in(unmasked_mean).numbers["change_by_their_values"] > 0


def test_rmse_is_not_below_the_mae_of_the_same_cells(small):
    """A constant model: its RMSE over valid cells exceeds its MAE; over all cells it falls below, as in the record."""
    settings, data, model = small(target_scale="raw")
    with torch.no_grad():
        scores = score(model, data)
        val_as_train = data | {name.replace("val", "train"): data[name] for name in data if name.startswith("val")}
        impossible_f = float(padded_mean(model, val_as_train, settings).sqrt())
    assert scores["rmse_f"] >= scores["teacher_forced_mae_f"], "padded cells are in the RMSE: it is below the MAE"
    assert impossible_f < scores["teacher_forced_mae_f"]
