"""What changed between two revisions, from the files of a real git repository."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from goldmark.case import UsageError
from goldmark.cli import program
from goldmark.golden._ask.between import between
from goldmark.golden._files.entries import BadGolden, Result
from goldmark.golden._files.folder import find_golden
from goldmark.golden._files.format import dump, to_bytes
from goldmark.golden._record.entry import statistical_entry
from goldmark.golden._update.apply import apply_update, move, prune

VALUES = {str(seed): 1.0 + 0.01 * seed for seed in range(8)}


def trained(shift: float = 0.0) -> Result:
    """A metric of eight seeds."""
    values = {seed: value + shift for seed, value in VALUES.items()}
    entry = statistical_entry(values, scale="identity", margin=0.05)
    return Result(name="trained", exact={"n": 3}, statistical={"loss": entry})


def git(folder: Path, *arguments: str) -> str:
    """Run git in a folder as somebody."""
    who = ("-c", "user.name=x", "-c", "user.email=x@example.org")
    return subprocess.run(
        ["git", *who, "-C", str(folder), *arguments], check=True, capture_output=True, text=True
    ).stdout.strip()


def commit(folder: Path, message: str) -> None:
    """Commit all there is."""
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", message)


@pytest.fixture
def golden(tmp_path: Path) -> Path:
    """A golden folder below the root of a repository: five goldens, committed as `first`."""
    git(tmp_path, "init", "-q", "-b", "main")
    folder = tmp_path / "tests" / "golden"
    results = {name: Result(name=name, exact={"n": i}) for i, name in enumerate(("kept", "a/renamed", "deleted"))}
    results["weaker"] = Result(name="weaker", exact={"n": 5, "m": 1})
    apply_update(folder, {**results, "trained": trained()}, "first")
    commit(tmp_path, "first")
    git(tmp_path, "tag", "first")
    return folder


def changed(folder: Path) -> None:
    """Update, add, rename and delete a golden."""
    fewer = Result(name="weaker", exact={"n": 5})
    apply_update(folder, {"trained": trained(0.2), "weaker": fewer}, "faster", weaken=True)
    apply_update(folder, {"added": Result(name="added", exact={"n": 9, "m": 9})}, "a new test")
    move(folder, "a/renamed", "b/renamed", folder)
    prune(folder, ["deleted"])


def rows(difference) -> list[tuple[str, str, str, str, str]]:
    """The rows as tuples."""
    return [(row.golden, row.entry, row.old, row.new, row.change) for row in difference.rows]


EXPECTED = [
    ("added", "(new)", "", "2 exact", ""),
    ("b/renamed", "(renamed)", "a/renamed", "b/renamed", "the same entries"),
    ("deleted", "(deleted)", "1 exact", "", ""),
    (
        "trained",
        "loss",
        "1.035 (mean of 8)",
        "1.235 (mean of 8)",
        "+19.32%, 8 of 8 seeds moved",
    ),
    ("weaker", "m", "1", "", "dropped"),
]


def test_each_kind_of_change_is_a_row(golden: Path) -> None:
    """Between a revision and the files, committed or not, and between two revisions, forwards and backwards."""
    changed(golden)
    assert EXPECTED == rows(between(golden, "first"))
    commit(golden.parent, "second")
    assert EXPECTED == rows(between(golden, "first"))
    assert EXPECTED == rows(between(golden, "first..HEAD")) == rows(between(golden, "first.."))
    assert [] == rows(between(golden, "HEAD"))
    backwards = [row[1] for row in rows(between(golden, "HEAD..first"))]
    assert ["(renamed)", "(deleted)", "(new)", "loss", "m"] == backwards


def test_a_file_in_a_hidden_folder_is_no_golden(golden: Path) -> None:
    """Neither of a revision nor of the files, even where somebody committed it."""
    hidden = golden / ".old" / "kept.json"
    hidden.parent.mkdir()
    hidden.write_text("{}")
    commit(golden.parent, "hidden")
    git(golden, "tag", "hidden")
    assert [] == rows(between(golden, "first..hidden")) == rows(between(golden, "first"))


def test_what_is_weaker_and_why_is_told(golden: Path) -> None:
    """A key that is gone, whoever allowed it, and the reasons that the goldens give."""
    changed(golden)
    difference = between(golden, "first")
    assert ("weaker: exact m is gone",) == difference.weaker
    assert {"faster": ("trained", "weaker"), "a new test": ("added",)} == difference.reasons


def test_a_golden_that_notes_other_code_is_no_change(golden: Path) -> None:
    """Its values were seen again, which is told by name; a golden whose entries moved as well is a row."""
    seen = {name: find_golden(golden, name) for name in ("kept", "weaker")}
    for name, stored in seen.items():
        origin = replace(stored.provenance[-1], sources={"a.py": "11"})
        exact = {"n": 6, "m": 1} if name == "weaker" else stored.exact
        (golden / f"{name}.json").write_bytes(to_bytes(replace(stored, exact=exact, provenance=(origin,))))
    difference = between(golden, "first")
    assert (["weaker"], ("kept",)) == ([row[0] for row in rows(difference)], difference.confirmed)
    assert {"first": ("weaker",)} == difference.reasons


def test_three_dots_leave_out_what_the_other_branch_did(golden: Path) -> None:
    """As in git: from where the two parted."""
    git(golden, "checkout", "-q", "-b", "side")
    apply_update(golden, {"kept": Result(name="kept", exact={"n": 7})}, "side")
    commit(golden.parent, "side")
    git(golden, "checkout", "-q", "main")
    changed(golden)
    commit(golden.parent, "main")
    assert ["kept"] == [row[0] for row in rows(between(golden, "main...side"))]
    assert len(EXPECTED) + 1 == len(rows(between(golden, "main..side")))


def test_a_golden_of_an_earlier_schema_is_read(golden: Path) -> None:
    """A migration changes no value, so that it shows no row."""
    path = golden / "kept.json"
    current = path.read_bytes()
    document = json.loads(current)
    del document["recorded_by"]
    path.write_bytes(dump({**document, "schema": 1}))
    commit(golden.parent, "schema 1")
    path.write_bytes(current)
    assert [] == rows(between(golden, "HEAD"))


def test_other_line_ends_are_no_change(golden: Path) -> None:
    """As git makes them on some systems."""
    path = golden / "kept.json"
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert [] == rows(between(golden, "HEAD"))


def test_a_folder_that_is_gone_is_compared(golden: Path) -> None:
    """All its goldens were deleted."""
    golden.rename(golden.parent.parent / "elsewhere")
    assert ["(deleted)"] * 5 == [row[1] for row in rows(between(golden, "HEAD"))]


def test_what_git_cannot_give_is_wrong_use(golden: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """An unknown revision, a revision that reads as an option, and a folder outside any repository."""
    for revision in ("nope", "--all", "first..nope", "nope...first"):
        with pytest.raises(UsageError, match="git knows no revision '(nope|--all)'"):
            between(golden, revision)
    with pytest.raises(UsageError, match=r"git rev-parse in .*not a git repository"):
        between(tmp_path_factory.mktemp("outside"), "HEAD")


def test_a_changed_file_that_cannot_be_trusted_is_named(golden: Path) -> None:
    """Here or in a revision; one that both have is nobody's change."""
    (golden / "kept.json").write_text("{")
    with pytest.raises(BadGolden, match=r"kept\.json is not a golden"):
        between(golden, "HEAD")
    commit(golden.parent, "damaged")
    assert [] == rows(between(golden, "HEAD"))
    with pytest.raises(BadGolden, match=r"HEAD:tests/golden/kept\.json is not a golden"):
        between(golden, "first..HEAD")


class TestCommand:
    """`goldmark golden diff --against`."""

    @pytest.fixture
    def diff(self, golden: Path, monkeypatch: pytest.MonkeyPatch):
        """Run it in the repository, where the ini file names the folder."""
        (golden.parent.parent / "pytest.ini").write_text("[pytest]\ngolden_dir = tests/golden\n")
        monkeypatch.chdir(golden.parent)
        return lambda *arguments: CliRunner().invoke(program, ["golden", "diff", *arguments], catch_exceptions=False)

    def test_it_prints_rows_what_is_weaker_and_reasons(self, golden: Path, diff) -> None:
        """Exit status 1 where anything differs, 0 otherwise."""
        same = diff("--against", "first")
        assert (0, "no golden differs\n") == (same.exit_code, same.output)
        changed(golden)
        done = diff("--against", "first")
        assert 1 == done.exit_code
        assert ["golden", "entry", "old", "new", "change"] == done.output.split()[:5]
        assert "weaker: weaker: exact m is gone\n" in done.output
        assert "reason: faster: trained, weaker\n" in done.output

    def test_it_writes_markdown_for_a_pull_request(self, golden: Path, diff) -> None:
        """A table each for rows, what is weaker, and reasons; a name with a bar breaks none."""
        assert "No golden differs.\n" == diff("--against", "first", "--markdown").output
        changed(golden)
        apply_update(golden, {"text": Result(name="text", exact={"a|b": "x`y"})}, "why | so")
        apply_update(golden, {"kept": Result(name="kept", exact={"n": 5})}, "why | so")
        lines = diff("--against", "first", "--markdown").output.splitlines()
        assert ["| golden | entry | old | new | change |", "| --- | --- | --- | --- | --- |"] == lines[:2]
        assert "| kept | n | 0 | 5 | +5 |" in lines
        assert "| weaker: exact m is gone |" in lines
        assert "| why \\| so | kept, text |" in lines
        assert {6, 2, 3} == {line.count("|") - line.count("\\|") for line in lines if line}

    def test_it_writes_json(self, golden: Path, diff, tmp_path: Path) -> None:
        """The same for programs."""
        changed(golden)
        diff("--against", "first", "--json", str(tmp_path / "diff.json"))
        document = json.loads((tmp_path / "diff.json").read_text())
        assert [] == document["confirmed"]
        assert [list(row) for row in EXPECTED] == [list(row.values()) for row in document["changes"]]
        assert ["weaker: exact m is gone"] == document["weaker"]
        assert {"faster": ["trained", "weaker"], "a new test": ["added"]} == document["reasons"]

    def test_options_that_do_not_go_together_are_wrong_use(self, diff) -> None:
        """Exit status 2 and one line."""
        for arguments, says in ((("--markdown",), "goes with --against"), (("x", "--against", "first"), "leave x out")):
            done = diff(*arguments)
            assert (2, True, 1) == (done.exit_code, says in done.output, done.output.count("\n"))


def test_a_golden_edited_and_sealed_by_hand_shows(golden: Path) -> None:
    """What no update wrote is a row as well."""
    edited = replace(find_golden(golden, "kept"), exact={"n": 99})
    (golden / "kept.json").write_bytes(to_bytes(edited))
    assert [("kept", "n", "0", "99", "+99")] == rows(between(golden, "HEAD"))
