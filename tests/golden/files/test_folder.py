"""The names of goldens: paths below a folder that no name leads out of."""

from __future__ import annotations

import pytest

from goldmark.case import UsageError
from goldmark.golden._files.folder import golden_path, name_of_test


@pytest.mark.parametrize("name", ["a", "roast/normalized", "tests/test_x/test_y-0.1", "a[b]", "x_1.2+3=4,5@6"])
def test_a_name_is_a_path_below_the_folder(tmp_path, name):
    """Parts become folders and the last one the file."""
    assert tmp_path / f"{name}.json" == golden_path(tmp_path, name)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "/a",
        "a/",
        "a//b",
        "..",
        "../a",
        "a/../b",
        "a/..",
        ".",
        ".hidden",
        "a/.b",
        "a b",
        "a\\b",
        "a:b",
        "C:/a",
        "a\n",
        "a\0b",
        "a*",
        "ä",
        "~",
        "a" * 201,
    ],
)
def test_a_name_that_leads_out_or_is_odd_is_refused(tmp_path, name):
    """No name can leave the folder, hide a file, or be impossible on another file system."""
    with pytest.raises(UsageError, match="cannot name a golden"):
        golden_path(tmp_path, name)


def test_a_symbolic_link_out_of_the_folder_is_refused(tmp_path):
    """Neither a linked file nor a linked folder leads out; links within the folder, and to the folder, are fine."""
    folder, outside = tmp_path / "golden", tmp_path / "golden-outside"
    folder.mkdir()
    outside.mkdir()
    (folder / "file.json").symlink_to(outside / "file.json")
    (folder / "sub").symlink_to(outside, target_is_directory=True)
    (folder / "inside.json").symlink_to(folder / "real.json")
    for name in ("file", "sub/a"):
        with pytest.raises(UsageError, match="symbolic link"):
            golden_path(folder, name)
    assert folder / "inside.json" == golden_path(folder, "inside")
    (tmp_path / "link").symlink_to(folder, target_is_directory=True)
    assert tmp_path / "link" / "a.json" == golden_path(tmp_path / "link", "a")


@pytest.mark.parametrize(
    ("nodeid", "name"),
    [
        ("tests/test_a.py::test_b", "tests/test_a/test_b"),
        ("tests/test_a.py::TestC::test_b[0.1-x]", "tests/test_a/TestC/test_b[0.1-x]"),
        ("test_a.py::test_b[u::v/w.py]", "test_a/test_b[u-v-w.py]-512bf937"),
        ("test_a.py::test_b[u::v-w.py]", "test_a/test_b[u-v-w.py]-32f57bf8"),
    ],
)
def test_the_name_follows_from_the_test(nodeid, name):
    """Path, class and parameters; where characters must go, a hash keeps two tests apart."""
    assert name == name_of_test(nodeid)
