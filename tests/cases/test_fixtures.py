"""Frozen data: the generators still make it, and a damaged file is refused."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

from goldmark.case import UsageError
from goldmark.cases.fixtures import MANIFEST, freeze, generated, load


@pytest.fixture(scope="module")
def frozen(pytestconfig):
    """The folder of the repository."""
    return pytestconfig.rootpath / "fixtures"


def test_generators_still_make_the_frozen_arrays(frozen):
    """Floats to relative 1e-9, for another library's last digit; integers and booleans exactly."""
    made = generated()
    assert sorted(made) == sorted(json.loads((frozen / MANIFEST).read_text()))
    for fixture, (_, arrays) in made.items():
        stored = load(frozen, fixture)
        assert sorted(stored) == sorted(arrays)
        for name, array in arrays.items():
            assert stored[name].dtype == array.dtype
            if array.dtype.kind == "f":
                np.testing.assert_allclose(array, stored[name], rtol=1e-9, atol=0)
            else:
                np.testing.assert_array_equal(array, stored[name])


def test_manifest_names_generator_and_seed(frozen):
    """Each fixture can be traced to the function that made it."""
    for fixture, entry in json.loads((frozen / MANIFEST).read_text()).items():
        assert entry["generator"].startswith("goldmark.cases."), fixture
        assert 0 == entry["seed"]


def test_freezing_twice_gives_the_same_bytes(tmp_path):
    """A regenerated fixture that did not change shows no difference in git."""
    first, second = (freeze(tmp_path / name) for name in ("a", "b"))
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]


def test_damaged_fixture_is_refused(tmp_path, frozen):
    """Changed content, a missing array, pickled objects and a truncated file name the file and the way out."""
    folder = tmp_path / "fixtures"
    shutil.copytree(frozen, folder)
    path = folder / "roast.npz"
    arrays = load(folder, "roast")
    changed = {**arrays, "train_temp_f": arrays["train_temp_f"] + 0.1}
    without = {name: array for name, array in arrays.items() if name != "train_temp_f"}
    pickled = {**arrays, "train_temp_f": np.array([{}], dtype=object)}
    for damaged, message in ((changed, "sha256 of 'train_temp_f'"), (without, "holds"), (pickled, "cannot be read")):
        np.savez_compressed(path, **damaged)
        with pytest.raises(UsageError, match=rf"roast.npz: .*{message}.*; restore it with git, or .*nox -s fixtures"):
            load(folder, "roast")
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(UsageError, match="roast.npz: cannot be read"):
        load(folder, "roast")
