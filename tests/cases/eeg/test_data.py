"""EEG windows: the generator against a second implementation and what it says of itself, and a user's file."""

from __future__ import annotations

import json
import math
import pickle
from dataclasses import replace
from statistics import mode

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from goldmark.case import UsageError
from goldmark.cases.eeg import CASE, EegSettings
from goldmark.cases.eeg.data import generate, pink_noise, read_windows
from goldmark.cli import program
from goldmark.runs import Job
from goldmark.training._single import train_single
from goldmark.training.draws import key, normal, uniform

FOUR_SE = 4  # a mean of independent draws lies this many standard errors off once in 16,000 times
SMALL = {"n_train": 6, "n_val": 4, "train_subjects": 3, "val_subjects": 2, "channels": 4, "samples": 20}


def test_generator_is_a_function_of_settings_and_seed():
    """The same seed repeats bitwise; another seed moves every number that is drawn."""
    first, again, other = (generate(EegSettings(), seed) for seed in (3, 3, 4))
    for name in first:
        assert torch.equal(first[name], again[name])
        assert name.endswith("subject") or not torch.isin(first[name], other[name]).any()


def test_windows_have_the_stated_shapes_in_float64():
    """32 + 64 windows of 16 channels x 100 samples, with a response time and a subject each."""
    data = generate(EegSettings(), 0)
    assert {
        "train_eeg": (32, 16, 100),
        "train_response_s": (32,),
        "train_subject": (32,),
        "val_eeg": (64, 16, 100),
        "val_response_s": (64,),
        "val_subject": (64,),
    } == {name: tuple(tensor.shape) for name, tensor in data.items()}
    assert {torch.float64} == {tensor.dtype for name, tensor in data.items() if not name.endswith("subject")}


def test_halves_share_no_subject():
    """Validation asks for subjects that training has not seen; all of them are there."""
    data = generate(EegSettings(), 0)
    assert set(range(8)) == set(data["train_subject"].tolist())
    assert set(range(8, 24)) == set(data["val_subject"].tolist())


def test_response_times_are_those_of_the_competition():
    """Mean 1.56 s, sd 0.4 s, within four standard errors over 1,920 responses of 30 seeds."""
    brief = EegSettings(channels=2, samples=10)  # how long the windows are does not matter to the responses
    response_s = torch.cat([generate(brief, seed)["val_response_s"] for seed in range(30)])
    assert pytest.approx(1.56, abs=FOUR_SE * 0.4 / 1920**0.5) == float(response_s.mean())
    assert pytest.approx(0.4, abs=FOUR_SE * 0.4 / (2 * 1920) ** 0.5) == float(response_s.std())


def drawn(site, *shape):
    """Standard normal numbers of a site of seed 7, as numpy has them."""
    return normal(key(7, 0, f"eeg {site}"), shape).numpy()


@pytest.mark.parametrize(
    "changes", [{}, {"amplitude": 1.0, "topography_sd": 0.1}, {"gain_sd": 1.0, "rhythm": 3.0}], ids=str
)
def test_windows_equal_a_second_implementation(changes):
    """Window by window in numpy, from the same draws: bump at 1 s of width 0.15 s, rhythm of 8 to 12 Hz, pink noise."""
    settings = EegSettings(input_scale="volts", **SMALL, **changes)
    data = generate(settings, 7)
    z, gain = drawn("response", 10), np.exp(settings.gain_sd * drawn("gain of subjects", 5))
    topography = drawn("topography", 4)
    topography *= 2 / np.sqrt((topography**2).sum())  # mean square 1 over four channels
    own, of_rhythm = drawn("topography of subjects", 5, 4), drawn("rhythm topography of subjects", 5, 4)
    hz = 8 + 4 * uniform(key(7, 0, "eeg rhythm of subjects"), (5,)).numpy()
    phase = 2 * np.pi * uniform(key(7, 0, "eeg rhythm phase"), (10,)).numpy()
    noise, at_s = pink_noise(normal(key(7, 0, "eeg noise"), (10, 4, 20))).numpy(), np.arange(20) / 10
    for i, subject in enumerate([0, 1, 2, 0, 1, 2, 3, 4, 3, 4]):
        pattern = gain[subject] * (topography + settings.topography_sd * own[subject])
        bump = settings.amplitude * z[i] * np.outer(pattern, np.exp(-((at_s - 1.0) ** 2) / (2 * 0.15**2)))
        rhythm = settings.rhythm * np.outer(of_rhythm[subject], np.sin(2 * np.pi * hz[subject] * at_s + phase[i]))
        half, place = ("train", i) if i < 6 else ("val", i - 6)
        # sums of three terms near 1e-5 V, rounded in float64
        np.testing.assert_allclose(data[f"{half}_eeg"][place].numpy(), 1e-5 * (bump + rhythm + noise[i]), atol=1e-18)
        assert pytest.approx(1.56 + 0.4 * z[i], rel=1e-12) == float(data[f"{half}_response_s"][place])
        assert subject == int(data[f"{half}_subject"][place])


def test_z_scores_are_volts_scaled_by_the_training_half():
    """One mean and one sd, of the training windows: computed here by numpy; rounding of float64 only."""
    volts = generate(EegSettings(input_scale="volts"), 0)
    scaled = generate(EegSettings(), 0)
    train = volts["train_eeg"].numpy()
    for half in ("train", "val"):
        expected = (volts[f"{half}_eeg"].numpy() - train.mean()) / train.std(ddof=1)
        np.testing.assert_allclose(scaled[f"{half}_eeg"].numpy(), expected, rtol=1e-9, atol=1e-12)
    assert 1e-5 < float(volts["train_eeg"].std()) < 3e-5  # pink noise of 1e-5 V, the rhythm on top


def test_pink_noise_has_power_1_over_f():
    """Frequency times power is flat, no constant part, variance 1: 4,000 series of 100 samples, numpy's FFT."""
    series = pink_noise(normal(key(0, 0, "test"), (4000, 100))).numpy()
    power = (np.abs(np.fft.rfft(series)) ** 2).mean(axis=0)
    assert pytest.approx(0, abs=1e-20) == power[0]
    flat = power[1:50] * np.arange(1, 50)
    # the mean of 4,000 exponential powers has a relative standard error of 4000^-0.5
    np.testing.assert_allclose(flat / flat.mean(), 1.0, atol=FOUR_SE / math.sqrt(4000))
    assert pytest.approx(1.0, rel=0.02) == series.var()


# --- a user's file


def arrays(n=60, n_subjects=6):
    """Windows of 4 channels x 20 samples in V, in float32; the first subject has half of them."""
    rng = np.random.default_rng(0)
    subject = np.where(np.arange(n) % 2, 100, 101 + np.arange(n) // 2 % (n_subjects - 1))
    eeg = 1e-5 * rng.normal(size=(n, 4, 20)) + 1e-4
    return {"X": eeg.astype(np.float32), "y": rng.normal(1.5, 0.2, size=n), "subject": subject}


@pytest.fixture
def write(tmp_path):
    """Write arrays to a file, the changed ones in the place of those above, and return its path."""

    def write(**changed):
        np.savez(tmp_path / "windows.npz", **arrays() | changed)
        return tmp_path / "windows.npz"

    return write


def test_measured_subjects_are_in_one_half_only(write):
    """Each seed splits whole subjects, at least a fifth of the windows validates, and seeds differ."""
    case = CASE.on_file(write())
    halves = [case.make_data(case.settings, seed) for seed in range(8)]
    held_out = set()
    for data in halves:
        subjects = [set(data[f"{half}_subject"].tolist()) for half in ("train", "val")]
        assert set(arrays()["subject"]) == subjects[0] | subjects[1]
        assert set() == subjects[0] & subjects[1]
        assert 12 <= len(data["val_eeg"]) == 60 - len(data["train_eeg"])
        held_out.add(frozenset(subjects[1]))
    assert len(held_out) > 1


def test_measured_windows_are_scaled_by_the_training_half(write):
    """One mean and one sd of its windows, in float64; in volts they are the file's."""
    case = CASE.on_file(write())
    volts, scaled = (case.make_data(replace(case.settings, input_scale=scale), 0) for scale in ("volts", "zscore"))
    train = volts["train_eeg"].numpy()
    for half in ("train", "val"):
        expected = (volts[f"{half}_eeg"].numpy() - train.mean()) / train.std(ddof=1)
        np.testing.assert_allclose(scaled[f"{half}_eeg"].numpy(), expected, rtol=1e-9)  # the order of a sum
    in_file = arrays()["X"][np.isin(arrays()["subject"], volts["val_subject"].numpy())]
    assert np.array_equal(in_file, volts["val_eeg"].numpy())
    assert torch.float64 == volts["val_eeg"].dtype


def test_measured_case_is_the_case_on_other_data(write):
    """Channels, samples and most seeds' sizes are the file's, all else is the case's; other processes can have it."""
    case = CASE.on_file(write())
    n_train = mode(len(case.make_data(case.settings, seed)["train_eeg"]) for seed in range(CASE.seeds))
    assert replace(CASE.settings, n_train=n_train, n_val=60 - n_train, channels=4, samples=20) == case.settings
    assert (CASE.variants, CASE.claims) == (case.variants, case.claims)
    assert CASE.data_source != case.data_source
    sent = pickle.loads(pickle.dumps(replace(case, claims=())))  # noqa: S301 - our own bytes
    here, there = (each.make_data(each.settings, 0) for each in (case, sent))
    assert here.keys() == there.keys()
    assert all(torch.equal(here[name], there[name]) for name in here)


@pytest.mark.parametrize("changes", [{}, {"members": 2, "mixup_of": "windows"}], ids=["net", "ensemble"])
def test_measured_windows_train(write, changes):
    """The real path, an ensemble's too: every declared metric is finite, and its mixup keeps its contract."""
    case = CASE.on_file(write())
    run = train_single(Job(replace(case, settings=replace(case.settings, steps=3, **changes)), "mixup", 0))
    assert np.isfinite(list(run.metrics.values())).all()
    assert run.data == case.data_source
    assert not next(finding for finding in run.findings if finding.name == "wrong_mixup").trouble


def test_windows_in_volts_are_said_to_be_scaled(write):
    """At tens of microvolts, given in volts, X is z-scored and the unit is told; the variants in volts are kept."""
    case = CASE.on_file(write())
    assert "windows.npz: 60 windows of 6 subjects, X in volts by its sd of 1e-05: z-scored here" in case.says
    assert CASE.variants == case.variants
    assert pytest.approx(1) == float(case.make_data(case.settings, 0)["train_eeg"].std())


@pytest.mark.parametrize("scale", [1e6, 1e5], ids=["microvolts", "z-scores"])
def test_windows_of_another_unit_leave_the_variants_in_volts_out(write, scale):
    """What is not in volts trains all the same, but cannot show what volts do; the claims on any data remain."""
    case = CASE.on_file(write(X=scale * arrays()["X"]))
    assert "X not in volts by its sd of" in case.says
    assert ["volts", "volts_mixup"] == [v.name for v in CASE.variants if v not in case.variants]
    names = {variant.name for variant in case.variants}
    assert all(names >= set(claim.variants) for claim in case.claims if claim.any_data)


def test_subjects_may_have_names(write):
    """They are numbered in their order, and split whole."""
    names = np.array([f"sub-{subject}" for subject in arrays()["subject"]])
    numbered, named = (read_windows(write(subject=subject)).subject for subject in (arrays()["subject"], names))
    assert (numbered - 100).tolist() == named.tolist()


def test_seeds_whose_halves_have_the_stated_sizes_stack(write):
    """Ten subjects of six windows: two validate in every seed. Where sizes differ, only the most common one stacks."""
    case = CASE.on_file(write(subject=np.arange(60) % 10))
    assert (48, 12) == (case.settings.n_train, case.settings.n_val)
    assert ["stacked"] * 8 == [Job(case, "mixup", seed).engine for seed in range(8)]
    uneven = CASE.on_file(write())
    sizes = [len(uneven.make_data(uneven.settings, seed)["train_eeg"]) for seed in range(8)]
    assert len(set(sizes)) > 1
    stacked = [seed for seed in range(8) if Job(uneven, "mixup", seed).engine == "stacked"]
    assert [seed for seed in range(8) if sizes[seed] == uneven.settings.n_train] == stacked


@pytest.mark.slow
def test_realistic_windows_run_to_claims_on_any_data(tmp_path, monkeypatch):
    """Twelve subjects, 16 channels at 50 Hz, volts in float32: two variants train, and the contracts of mixup hold."""
    made = generate(EegSettings(input_scale="volts", n_train=36, n_val=12, train_subjects=9, val_subjects=3), 0)
    names = {"X": "eeg", "y": "response_s", "subject": "subject"}
    whole = {name: torch.cat([made[f"{half}_{own}"] for half in ("train", "val")]) for name, own in names.items()}
    np.savez(tmp_path / "w.npz", X=whole["X"].float(), y=whole["y"].clamp_min(0.3), subject=whole["subject"])
    variants = tuple(v for v in CASE.variants if v.name in ("mixup", "inputs_only_mixup"))
    claims = tuple(claim for claim in CASE.claims if claim.name == "inputs_only_mixup_breaks_the_contract")
    brief = replace(CASE, variants=variants, claims=(*claims, *CASE.claims[:1]))
    monkeypatch.setattr("goldmark.cli._run.cases_named", lambda names, project: [brief])
    monkeypatch.chdir(tmp_path)
    arguments = ["run", "eeg", "--data", "w.npz", "--seeds", "2", "--jobs", "1", "--json", "out.json"]
    done = CliRunner(env={"COLUMNS": "160"}).invoke(program, arguments, catch_exceptions=False)
    result = json.loads((tmp_path / "out.json").read_text())["cases"]["eeg"]
    assert [("inputs_only_mixup_breaks_the_contract", True)] == [(c["name"], c["ok"]) for c in result["claims"]]
    assert "X in volts by its sd of" in " ".join(done.output.split())
    assert np.isfinite([v["metrics"]["val_mse"]["mean"] for v in result["variants"].values()]).all()


def spoiled(place, value):
    """The windows with one value changed."""
    eeg = arrays()["X"]
    eeg[place] = value
    return eeg


BAD = [
    (
        {"X": np.zeros((60, 4))},
        r"'X' is float64 of shape \(60, 4\); numbers of shape \(windows, channels, samples\) are",
    ),
    ({"X": np.zeros((60, 20, 4))}, "'X' has windows of 20 channels and 4 samples, where its shape is .*; 8 samples"),
    ({"y": np.array(["1.5"] * 60)}, r"'y' is <U3 of shape \(60,\); numbers of shape \(windows,\) are expected"),
    ({"subject": np.zeros(59)}, "as many windows in each array are expected; it has: X 60, y 60, subject 59"),
    ({"subject": np.full(60, 0.5)}, r"subject\[0\] is 0.5; whole numbers or names are expected"),
    ({"y": np.full(60, np.nan)}, "0 windows with a response time, 60 without; 10 are needed"),
    ({"y": np.full(60, np.inf)}, "60 of 60 response times are not above 0 s, such as inf"),
    ({"y": np.full(60, 1.5)}, "all response times are 1.5 s; there is nothing to predict"),
    ({"y": 1000 * arrays()["y"]}, r"response times reach \d+\.?\d* s, where 60 s .* divide milliseconds by 1000"),
    ({"X": spoiled((7, 2, 13), np.nan)}, r"X\[7, 2, 13\] is nan; .* and 1 of 60 windows have others: leave them out"),
    ({"X": spoiled(3, -np.inf)}, r"X\[3, 0, 0\] is -inf; finite numbers are expected"),
    ({"X": np.zeros((60, 4, 20))}, "all of 'X' is 0; windows that vary are expected"),
    (
        {"X": np.where(arrays()["subject"] == 102, 1e6, 1.0)[:, None, None] * arrays()["X"]},
        "'X' has more than one unit: subject 1.. has sd .*e-0., subject 102 has sd ",
    ),
    ({"subject": np.zeros(60)}, "one subject only; a split by subject needs two or more"),
]


@pytest.mark.parametrize(("changed", "message"), BAD, ids=[message[:20] for _, message in BAD])
def test_bad_arrays_are_refused(write, changed, message):
    """In one line: the file, what it holds and where, what would be right."""
    with pytest.raises(UsageError, match=f"windows.npz: {message}") as error:
        CASE.on_file(write(**changed))
    assert "\n" not in str(error.value)


def test_windows_without_a_response_time_may_hold_anything(write):
    """They are left out, so that NaN in them is no reason to refuse the file."""
    y, eeg = arrays()["y"], spoiled(7, np.nan)
    y[7] = np.nan
    assert 59 == len(read_windows(write(X=eeg, y=y)).eeg)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (None, "windows.npz: cannot be read (No such file or directory); give an npz file of arrays"),
        (lambda path: path.write_text("eeg"), "windows.npz: cannot be read ("),
        (
            lambda path: path.write_bytes(path.read_bytes()[:-40]),
            "windows.npz: cannot be read (File is not a zip file)",
        ),
        (lambda path: np.savez(path, **arrays() | {"X": np.array([{}] * 60, dtype=object)}), "cannot be read (Object"),
        (lambda path: np.savez(path, eeg=arrays()["X"]), "array 'X' is missing; it has: eeg; write it with: np.savez("),
    ],
    ids=["missing", "text", "cut off", "pickle", "other names"],
)
def test_bad_files_exit_2_with_one_line_and_write_nothing(write, tmp_path, monkeypatch, spoil, message):
    """From the command line; pickles are never loaded."""
    path = write()
    spoil(path) if spoil else path.unlink()
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.iterdir())
    done = CliRunner().invoke(program, ["run", "eeg", "--data", "windows.npz", "--json", "out.json", "--out", "runs"])
    assert (2, 1) == (done.exit_code, done.stderr.count("\n")), done.output
    assert message in done.stderr
    assert before == sorted(tmp_path.iterdir())
