"""Branches that change goldens, merged by real git: what shares nothing merges, and a conflict has a way out."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from goldmark.cli import program
from goldmark.golden._files.entries import BadGolden, Close, Result
from goldmark.golden._files.folder import find_golden, golden_names
from goldmark.golden._update.apply import apply_update, move, prune

UPDATE = ("--golden-update", "--golden-reason", "because")
TEST = "def test_it(golden):\n    golden({name!r}).close({{'value': {value}, 'trace': [0.1, 0.2, 0.3, 0.4]}})\n"


class Project:
    """A repository of tests whose goldens lie in one folder, `models`."""

    def __init__(self, root: Path) -> None:
        self.root, self.folder = root, root / "golden"

    def git(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run git as somebody."""
        command = ["git", "-c", "user.name=x", "-c", "user.email=x@example.org", "-C", str(self.root), *arguments]
        return subprocess.run(command, check=check, capture_output=True, text=True)

    def record(self, test: str, value: float, golden: str = "") -> None:
        """Write a test of a value, and its golden."""
        name = golden or f"models/{test}"
        (self.root / f"test_{test}.py").write_text(TEST.format(name=name, value=value))
        entries = {"value": Close(value), "trace": Close([0.1, 0.2, 0.3, 0.4])}
        recorded_by = f"test_{test}.py::test_it"
        apply_update(self.folder, {name: Result(name=name, close=entries, recorded_by=recorded_by)}, f"to {value}")

    def branch(self, name: str, change: Callable[[], None]) -> None:
        """Commit a change on a branch of its own."""
        self.git("checkout", "-q", "-b", name, "main")
        change()
        self.commit(name)
        self.git("checkout", "-q", "main")

    def commit(self, message: str) -> None:
        """Commit all there is."""
        self.git("add", "-A")
        self.git("commit", "-q", "-m", message)

    def merge(self) -> list[str]:
        """Merge both branches into main and return the files in conflict."""
        self.git("merge", "-q", "alice", "-m", "alice")
        self.git("merge", "-q", "bob", "-m", "bob", check=False)
        return self.git("diff", "--name-only", "--diff-filter=U").stdout.split()

    def update(self, test: str) -> None:
        """Change a value and approve it."""
        self.record(test, 1.5)

    def add(self, test: str) -> None:
        """Write another test beside it."""
        self.record(f"{test}_more", 3.0)

    def rename(self, test: str, new: str = "models/{}_renamed") -> None:
        """Give a golden another name, in its test too."""
        name = new.format(test)
        (self.root / f"test_{test}.py").write_text(TEST.format(name=name, value=1.0))
        move(self.folder, f"models/{test}", name, self.root)

    def delete(self, test: str) -> None:
        """Delete a test and its golden."""
        (self.root / f"test_{test}.py").unlink()
        prune(self.folder, [f"models/{test}"])


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Project:
    """Three tests, recorded and committed."""
    project = Project(pytester.path)
    project.git("init", "-q", "-b", "main")
    for test in ("a", "b", "c"):
        project.record(test, 1.0)
    (project.root / ".gitignore").write_text("__pycache__/\n")
    project.commit("first")
    monkeypatch.chdir(project.root)
    return project


@pytest.fixture
def in_order(run, project: Project) -> Callable[[], None]:
    """Hold a project to what must be true after a merge: green, nothing unused, status 0, nothing left to commit."""

    def in_order() -> None:
        done = run()
        assert pytest.ExitCode.OK == done.ret
        done.stdout.fnmatch_lines([f"{len(golden_names(project.folder))} hold"])
        done.stdout.no_fnmatch_line("*unused*")
        status = CliRunner().invoke(program, ["golden", "status"], catch_exceptions=False)
        assert 0 == status.exit_code, status.output

    return in_order


@pytest.mark.parametrize(
    ("alice", "bob"),
    [
        ("update", "update"),
        ("add", "add"),
        ("rename", "rename"),
        ("delete", "delete"),
        ("rename", "update"),
        ("delete", "add"),
        ("update", "delete"),
    ],
)
def test_changes_of_neighbours_merge(project: Project, in_order, alice: str, bob: str) -> None:
    """Two goldens of one folder, whatever each branch does to its own."""
    project.branch("alice", lambda: getattr(project, alice)("a"))
    project.branch("bob", lambda: getattr(project, bob)("b"))
    assert [] == project.merge()
    assert "" == project.git("status", "--short").stdout
    in_order()


def test_the_whole_life_of_two_branches(project: Project, run, in_order) -> None:
    """Recorded by pytest on both sides, from one source file that both change."""
    (project.root / "two.py").write_text("A = 1.0\n\n\n\nB = 2.0\n")
    tests = "".join(f"def test_{name}(golden):\n    golden.close({{'x': two.{name.upper()}}})\n" for name in "ab")
    (project.root / "test_two.py").write_text(f"import two\n{tests}")
    assert pytest.ExitCode.OK == run(*UPDATE).ret
    project.commit("two")

    def change(old: str, new: str) -> Callable[[], None]:
        source = project.root / "two.py"

        def change() -> None:
            source.write_text(source.read_text().replace(old, new))
            assert pytest.ExitCode.OK == run(*UPDATE).ret

        return change

    project.branch("alice", change("A = 1.0", "A = 1.5"))
    project.branch("bob", change("B = 2.0", "B = 2.5"))
    assert [] == project.merge()
    in_order()


@pytest.mark.parametrize(("side", "value"), [("--ours", 1.5), ("--theirs", 2.5)])
def test_one_golden_updated_twice_has_a_way_out(project: Project, run, in_order, side: str, value: float) -> None:
    """The message names both branches; one side is taken, and where neither is right, it is recorded after that."""
    project.branch("alice", lambda: project.record("a", 1.5))
    project.branch("bob", lambda: project.record("a", 2.5))
    assert ["golden/models/a.json", "test_a.py"] == project.merge()
    (project.root / "test_a.py").write_text(TEST.format(name="models/a", value=value))
    red = run()
    assert pytest.ExitCode.TESTS_FAILED == red.ret
    red.stdout.fnmatch_lines(["*models/a.json holds a conflict of a merge: 'HEAD' and 'bob' both changed it.*"])
    assert pytest.ExitCode.TESTS_FAILED == run(*UPDATE).ret
    with pytest.raises(BadGolden, match=f"git checkout {side} -- .*a.json"):
        find_golden(project.folder, "models/a")
    project.git("checkout", side, "--", "golden/models/a.json")
    project.commit("merged")
    in_order()
    (project.root / "test_a.py").write_text(TEST.format(name="models/a", value=9.5))
    assert pytest.ExitCode.OK == run(*UPDATE).ret
    in_order()


def test_one_golden_renamed_and_updated_has_a_way_out(project: Project, run, in_order) -> None:
    """The file of the new name holds both; either side is taken, named anew and recorded."""
    project.branch("alice", lambda: project.rename("a"))
    project.branch("bob", lambda: project.record("a", 2.5))
    assert "golden/models/a_renamed.json" in project.merge()
    (project.root / "test_a.py").write_text(TEST.format(name="models/a_renamed", value=2.5))
    run().stdout.fnmatch_lines(["*a_renamed.json holds a conflict of a merge: 'HEAD*' and 'bob*' both changed it.*"])
    project.git("checkout", "--theirs", "--", "golden/models/a_renamed.json")
    project.commit("merged")
    command = "goldmark golden mv models/a models/a_renamed"
    run().stdout.fnmatch_lines([f"*a_renamed.json holds the golden 'models/a'; *: `{command}`*"])
    done = CliRunner().invoke(program, command.split()[1:], catch_exceptions=False)
    assert 0 == done.exit_code, done.output
    in_order()
    assert 2.5 == find_golden(project.folder, "models/a_renamed").close["value"].value


def test_a_conflict_that_was_committed_has_a_way_out(project: Project, run, in_order) -> None:
    """Git has no sides left to take: the file is deleted, as the message says, and recorded anew."""
    project.branch("alice", lambda: project.record("new", 1.5))
    project.branch("bob", lambda: project.record("new", 2.5))
    assert ["golden/models/new.json", "test_new.py"] == project.merge()
    (project.root / "test_new.py").write_text(TEST.format(name="models/new", value=2.5))
    project.commit("with marks")
    red = run()
    red.stdout.fnmatch_lines(
        ["*new.json holds a conflict of a merge: *, or delete it where git no longer has the sides*"]
    )
    (project.folder / "models" / "new.json").unlink()
    assert pytest.ExitCode.OK == run(*UPDATE).ret
    in_order()


def test_a_golden_under_the_name_of_another_has_two_ways_out(project: Project, run, in_order) -> None:
    """It is not overwritten; it is renamed, or deleted and recorded, as the message says."""
    here, there = (project.folder / "models" / f"{name}.json" for name in ("a", "b"))
    there.write_bytes(here.read_bytes())
    assert pytest.ExitCode.TESTS_FAILED == run(*UPDATE).ret
    run().stdout.fnmatch_lines(
        ["*b.json holds the golden 'models/a'; *; or delete it and record it again: `pytest *`*"]
    )
    there.unlink()
    assert pytest.ExitCode.OK == run(*UPDATE).ret
    in_order()


def test_one_golden_deleted_and_updated_is_git_s_question(project: Project, in_order) -> None:
    """Whichever side is taken, what is left is whole."""
    project.branch("alice", lambda: project.delete("a"))
    project.branch("bob", lambda: project.update("a"))
    assert ["golden/models/a.json", "test_a.py"] == project.merge()
    project.commit("bob's")
    in_order()
    project.git("rm", "-q", "golden/models/a.json", "test_a.py")
    in_order()


@pytest.mark.parametrize("change", ["delete", "rename"])
def test_one_change_made_twice_merges(project: Project, in_order, change: str) -> None:
    """Both deleted it, or both gave it the same name."""
    project.branch("alice", lambda: getattr(project, change)("a"))
    project.branch("bob", lambda: getattr(project, change)("a"))
    assert [] == project.merge()
    in_order()


def test_one_golden_added_twice_has_a_way_out(project: Project, run, in_order) -> None:
    """Two branches wrote a test of one name."""
    project.branch("alice", lambda: project.record("new", 1.5))
    project.branch("bob", lambda: project.record("new", 2.5))
    assert ["golden/models/new.json", "test_new.py"] == project.merge()
    for file in ("golden/models/new.json", "test_new.py"):
        project.git("checkout", "--theirs", "--", file)
    project.commit("merged")
    in_order()


def test_a_golden_added_where_a_folder_was_renamed_is_told(project: Project, run, in_order) -> None:
    """git may move it along; then its name inside is another, and one command puts that right."""

    def rename_all() -> None:
        for test in "abc":
            project.rename(test, "layers/{}")

    project.branch("alice", rename_all)
    project.branch("bob", lambda: project.record("new", 2.5))
    project.git("config", "merge.directoryRenames", "true")
    assert [] == project.merge()
    assert "layers/new" in golden_names(project.folder)
    (project.root / "test_new.py").write_text(TEST.format(name="layers/new", value=2.5))
    command = "goldmark golden mv models/new layers/new"
    run().stdout.fnmatch_lines([f"*layers/new.json holds the golden 'models/new'; *: `{command}`*"])
    assert 0 == CliRunner().invoke(program, command.split()[1:], catch_exceptions=False).exit_code
    in_order()
