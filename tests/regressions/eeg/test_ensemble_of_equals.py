"""Five seeds were to be averaged for a gain of 1 to 3 %: an average gains what its members differ by.

Members that have collapsed are constants, and so is their average. Measured on ensembles that are trained as
one model, whose members have weights, order and mixing weights of their own.
"""

from __future__ import annotations

from dataclasses import replace
from statistics import fmean

import pytest
import torch

from goldmark.case import Variant
from goldmark.cases.eeg import CASE
from goldmark.cases.eeg.model import Ensemble, members_of
from goldmark.cases.eeg.scores import FULL_METRICS, mse
from goldmark.checks import check_idle_average
from goldmark.experiments import obtain
from goldmark.runs import by_variant

AVERAGES = replace(
    CASE,
    metrics=FULL_METRICS,
    variants=(
        Variant(name="average", says="the average of three nets", role="fixed", changes={"members": 3}),
        Variant(
            name="average_volts",
            says="the same on windows in volts",
            role="broken",
            of="average",
            changes={"input_scale": "volts", "noise_sd": 0.01},
            seen_by="gain_of_average",
        ),
    ),
    claims=(),
)
SEEDS = (0, 1, 2)


@pytest.fixture(scope="module")
def ensembles(store):
    """Runs of both ensembles by variant, three seeds each."""
    return by_variant(obtain(AVERAGES, seeds=SEEDS, session=store).runs)


def finding_of(run):
    """What the check said of a run's members, where it was trained."""
    (finding,) = (each for each in run.findings if each.name == "idle_average")
    return finding


def test_average_of_models_that_learn_gains(ensembles):
    """In every seed, and at least the 1 % that the record expects."""
    for run in ensembles["average"]:
        finding = finding_of(run)
        assert not finding.trouble, f"an ensemble of equals: its average gains nothing: {finding}"
        assert run.metrics["gain_of_average"] >= 0.01, "the average gains nothing, though its members differ"


def test_average_of_constants_is_a_constant(ensembles):
    """The check that the others pass: in every seed members agree, but for where each of them has its constant."""
    for run in ensembles["average_volts"]:
        numbers = finding_of(run).numbers
        assert finding_of(run).trouble, f"an average of constants passes for an ensemble: {finding_of(run)}"
        assert pytest.approx(numbers["gain"], rel=1e-3) == numbers["by_offsets"]  # the inputs move a constant by 1e-5 s


def test_gain_of_models_that_learn_is_another_one(ensembles):
    """Over three seeds, the mean gain is more than three times that of constants, which is one of their offsets."""
    gains = {name: fmean(run.metrics["gain_of_average"] for run in runs) for name, runs in ensembles.items()}
    assert gains["average"] > 3 * gains["average_volts"], f"the average gains what one of constants does: {gains}"


def test_gain_is_what_the_members_differ_by(ensembles):
    """The metric, from the predictions that are averaged, and the check's number, from the members: one, in float64."""
    for run in (*ensembles["average"], *ensembles["average_volts"]):
        gain = finding_of(run).numbers["gain"]
        # the check reads predictions in float32, the variance of constants among them
        assert pytest.approx(gain, rel=1e-6, abs=1e-9) == run.metrics["gain_of_average"]


def test_ensemble_predicts_the_average_of_its_members(trained):
    """Its own squared error is that of its members less their variance; a member's alone would be none of it."""
    model, data = trained("average", AVERAGES)
    by_member = torch.stack([net(data["val_eeg"]) for net in members_of(model)]).double()
    numbers = check_idle_average(by_member, data["val_response_s"]).numbers
    expected = numbers["mse_of_members"] * (1 - numbers["gain"])
    error = mse(model(data["val_eeg"]), data["val_response_s"])
    assert pytest.approx(expected, rel=1e-5) == error, "the ensemble does not predict its members' average"  # float32


def test_copies_of_one_model_are_no_ensemble(trained):
    """The control: however good the one is, three of it gain nothing."""
    model, data = trained("average", AVERAGES)
    copies = Ensemble([members_of(model)[0]] * 3)
    by_member = torch.stack([net(data["val_eeg"]) for net in members_of(copies)])
    finding = check_idle_average(by_member, data["val_response_s"])
    assert finding.trouble
    assert pytest.approx(0.0, abs=1e-12) == finding.numbers["gain"]  # the mean of three equals rounds
