"""Test-time augmentation was "of no benefit": one module was imported twice, and compared with itself.

Two folders held a module of one name, both were put on the path, and the second import returned the first. Errors that
are equal prove nothing; predictions that are equal are a bug.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys

import pytest

from goldmark.cases.eeg.scores import augmented_prediction_s
from goldmark.checks import check_unmoved_by_augmentation
from goldmark.claims import finding_in_no_seed

PLAIN = "def predict(model, eeg):\n    return model(eeg).double()\n"
AUGMENTED = "from goldmark.cases.eeg.scores import augmented_prediction_s as predict\n"


@pytest.fixture
def folders(tmp_path, monkeypatch):
    """Two folders with a module `inference` each, as in the record; imports are undone after the test."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    for name, text in {"plain": PLAIN, "augmented": AUGMENTED}.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "inference.py").write_text(text)
    yield [tmp_path / "plain", tmp_path / "augmented"]
    sys.modules.pop("inference", None)


def from_path(folder):
    """The record's import: the folder goes on the path, and a name that is loaded is not looked for again."""
    sys.path.insert(0, str(folder))
    importlib.invalidate_caches()
    return importlib.import_module("inference").predict


def from_file(folder):
    """The import of one file, whatever its name."""
    spec = importlib.util.spec_from_file_location(f"inference_{folder.name}", folder / "inference.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.predict


@pytest.mark.parametrize(("load", "broken"), [(from_path, True), (from_file, False)])
def test_two_modules_of_one_name_are_one_module(trained, folders, load, broken):
    """On the path both predict the same number for number; from their files they do not."""
    model, data = trained("mixup")
    plain, augmented = (predict(model, data["val_eeg"]) for predict in [load(folder) for folder in folders])
    finding = check_unmoved_by_augmentation(plain, augmented, data["val_response_s"])
    assert broken == finding.trouble, f"augmentation compared with itself: {broken}; the check says: {finding}"
    assert broken == ("compared with itself" in finding.advice)
    assert broken == (finding.numbers["moved"] == 0)


def test_augmentation_of_the_case_is_not_the_plain_prediction(trained):
    """On the same healthy model, through the same check; the five views are no copies of one."""
    model, data = trained("mixup")
    augmented = augmented_prediction_s(model, data["val_eeg"])
    finding = check_unmoved_by_augmentation(model(data["val_eeg"]), augmented, data["val_response_s"])
    assert not finding.trouble, f"test-time augmentation is compared with itself: {finding.numbers}, {finding.advice}"


def test_augmentation_moves_the_predictions_of_every_healthy_run(runs_of):
    """All runs with mixup, examined where they were trained."""
    verdict = finding_in_no_seed("mixup", "unmoved_by_augmentation")(runs_of("eeg", ["mixup"]))
    assert verdict, f"test-time augmentation is compared with itself, or with a constant: {verdict}"
