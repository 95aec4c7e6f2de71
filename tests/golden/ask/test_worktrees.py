"""What git is asked for: the commit behind a golden, and worktrees that leave nothing behind."""

from __future__ import annotations

import pytest

from goldmark.case import UsageError
from goldmark.golden._ask.repository import Repository
from goldmark.golden._ask.trees import DoesNotRunError, tree_of, working_tree
from goldmark.runs import open_store


@pytest.fixture
def story(tell):
    """The project, with ignored files beside it: data, a cache, a virtual environment and a store."""
    story = tell()
    (story.root / ".gitignore").write_text("*.npz\n/big/\nenv/\n.goldmark/\n__pycache__/\n.some_cache/\n")
    story.commit("Ignore more")
    open_store(story.root / "kept_runs")
    for name in (
        "kept_runs/runs/run.json",
        "data/x.npz",
        "big/y.txt",
        "env/pyvenv.cfg",
        ".goldmark/run.json",
        ".some_cache/CACHEDIR.TAG",
    ):
        path = story.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return story


def test_a_worktree_is_its_commit_with_the_ignored_data(story):
    """Data are linked, also into folders that git knows nothing of; environments, caches and stores are not."""
    first = story.git("rev-list", "--max-parents=0", "HEAD")
    with Repository.around(story.root).worktree(first) as tree:
        assert not (tree / "golden").exists()
        assert "data/x.npz" == (tree / "data" / "x.npz").read_text()
        assert story.root / "big" == (tree / "big").readlink()
        assert {"fit.py", "pytest.ini", ".gitignore", ".git", "data", "big"} == {path.name for path in tree.iterdir()}


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_a_worktree_is_removed_whatever_happens(story, error):
    """Nothing of it is left, neither its folder nor what git knows of it, and linked data are still there."""
    before, places = story.state(), []

    def fail() -> None:
        with Repository.around(story.root).worktree("HEAD") as tree:
            places.append(tree)
            raise error

    with pytest.raises(error):
        fail()
    assert not places[0].parent.exists()
    assert before == story.state()
    assert "big/y.txt" == (story.root / "big" / "y.txt").read_text()


def test_hooks_of_the_repository_do_not_run(story):
    """A hook after checkouts may install or ask; this checkout is nobody's."""
    hook = story.root / ".git" / "hooks" / "post-checkout"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\nexit 1\n")
    hook.chmod(0o755)
    with Repository.around(story.root).worktree("HEAD") as tree:
        assert (tree / "fit.py").exists()


def test_the_commit_behind_a_golden_is_the_one_that_last_wrote_it(story):
    """Later commits do not count; a file that is not there as it is now has none."""
    repository, file = Repository.around(story.root), story.root / "golden" / "fit" / "default.json"
    assert "Record the golden" == story.git("log", "-1", "--format=%s", repository.last_write(file))
    with file.open("a") as golden:
        golden.write("\n")
    with pytest.raises(UsageError, match=r"'default\.json' differs from its last commit"):
        repository.last_write(file)
    other = file.with_name("other.json")
    other.write_text("{}")
    with pytest.raises(UsageError, match=r"'other\.json' is not committed"):
        repository.last_write(other)


def test_modules_are_looked_for_in_the_worktree_instead(story, monkeypatch):
    """Of folders in the working tree that exist there; what is elsewhere stays, what the commit has not goes."""
    here = [str(story.root / "lib"), str(story.root / "new"), str(story.root.parent)]
    (story.root / "lib").mkdir()
    story.commit("Add a folder", **{"lib/used": ""})
    (story.root / "new").mkdir()
    monkeypatch.setattr("sys.path", here)
    with tree_of(Repository.around(story.root), story.root, "HEAD") as tree:
        assert (str(tree.root), str(tree.root / "lib"), str(story.root.parent)) == tree.path
        assert story.root == tree.elsewhere
    assert (str(story.root), *here) == working_tree(story.root).path


def test_a_project_may_lie_below_the_root_of_its_repository(story):
    """It lies there in the worktree too; a commit from before it says so."""
    folder = story.root / "packages" / "one"
    folder.mkdir(parents=True)
    first = story.git("rev-parse", "HEAD")
    story.commit("Add a package", **{"packages/one/module": ""})
    repository = Repository.around(folder)
    with tree_of(repository, folder, "HEAD") as tree:
        assert (tree.worktree / "packages" / "one", True) == (tree.root, (tree.root / "module.py").exists())
    with pytest.raises(DoesNotRunError, match=r"\(Ignore more\) has no folder 'packages/one'"):
        tree_of(repository, folder, first).__enter__()
