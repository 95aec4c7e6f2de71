"""A project with a small experiment in a git repository, and commands of goldmark in it."""

from __future__ import annotations

import importlib
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner
from click.testing import Result as Answer

from goldmark.cli import program
from goldmark.golden import Result, compare, find_golden
from goldmark.golden._record.entry import statistical_entry
from goldmark.golden._update.apply import apply_update

FIT = '''"""Weights fitted to noisy points by gradient descent: in pure Python, which processes load at once."""

import random

from goldmark import Metric, experiment


def points(draw):
    """Points (x0, x1), and their noisy sum."""
    pairs = [(draw.gauss(), draw.gauss()) for _ in range(32)]
    return [(x, sum(x) + 0.3 * draw.gauss()) for x in pairs]


def error(weights, x, y):
    """What a prediction is off."""
    return weights[0] * x[0] + weights[1] * x[1] - y


@experiment(seeds=10, metrics=[Metric("val_rmse", margin="2%", better="lower", guard="slow")])
def fit(seed, *, rate=0.05):
    """Fit a line."""
    draw = random.Random(seed)
    train, val = points(draw), points(draw)
    weights = [0.0, 0.0]
    for _ in range(16):
        errors = [error(weights, x, y) for x, y in train]
        gradient = [2 * sum(e * x[i] for e, (x, _) in zip(errors, train)) / len(train) for i in (0, 1)]
        weights = [w - rate * g for w, g in zip(weights, gradient)]
    return {"val_rmse": (sum(error(weights, x, y) ** 2 for x, y in val) / len(val)) ** 0.5}


slow = fit.variant("slow", rate=0.01)
'''


@dataclass(frozen=True)
class Story:
    """A project in a repository of its own, of which commits tell what happened."""

    root: Path
    module: str  # with the experiment of the same name

    def git(self, *arguments: str) -> str:
        """Run git as somebody."""
        who = ("-c", "user.name=x", "-c", "user.email=x@example.org")
        command = ["git", *who, "-C", str(self.root), *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    def commit(self, message: str, *changes: tuple[str, str], **files: str) -> str:
        """Replace texts in the module, write other files, and commit all of it."""
        path = self.root / f"{self.module}.py"
        code = path.read_text() if path.exists() else ""
        for old, new in changes:
            assert 1 == code.count(old), old
            code = code.replace(old, new)
        for name, text in {self.module: code, **files}.items():
            (self.root / f"{name}.py").write_text(text)
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", message)
        return self.git("rev-parse", "HEAD")

    def record(self, values: Mapping[str, Mapping[str, float]]) -> str:
        """Record the golden of the default variant from values by variant and seed, and commit it."""
        apply_update(self.root / "golden", {self.golden: self.result(values)}, "first")
        return self.commit("Record the golden")

    def result(self, values: Mapping[str, Mapping[str, float]]) -> Result:
        """The result of the default variant, from values by variant and seed."""
        entry = statistical_entry(
            values["default"], scale="log", margin=0.02, guard="slow", guard_values=values["slow"], paired=True
        )
        stream = {seed: f"seed {seed}" for seed in values["default"]}
        return Result(name=self.golden, statistical={"val_rmse": entry}, stream=stream)

    def holds(self) -> bool | None:
        """Whether the code of now holds against the golden, on the golden's own seeds."""
        golden = find_golden(self.root / "golden", self.golden)
        assert golden is not None
        return compare(golden, self.result(trained(self))).ok

    @property
    def golden(self) -> str:
        """The name of the golden."""
        return f"{self.module}/default"

    def state(self) -> tuple[str, ...]:
        """What a command must leave as it was: HEAD and its name, the index and the files, worktrees, all refs."""
        asked = (("rev-parse", "HEAD"), ("symbolic-ref", "HEAD"), ("diff", "HEAD"), ("status", "--porcelain"))
        return tuple(self.git(*each) for each in (*asked, ("worktree", "list"), ("for-each-ref",), ("stash", "list")))


def trained(story: Story) -> dict[str, dict[str, float]]:
    """The values of both variants, by calling the function itself."""
    sys.modules.pop(story.module, None)
    importlib.invalidate_caches()
    module = importlib.import_module(story.module)
    function = getattr(module, story.module)
    variants = {"default": {}, "slow": dict(function.variant("slow").changes)}
    return {
        name: {str(seed): function(seed, **changes)["val_rmse"] for seed in range(function.seeds)}
        for name, changes in variants.items()
    }


@pytest.fixture
def tell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Story]]:
    """`tell(code, module)`: a project with that experiment, committed, with its golden."""
    names: list[str] = []
    monkeypatch.setattr(sys, "path", [*sys.path])  # to which a project's root is added
    monkeypatch.setattr(sys, "dont_write_bytecode", True)  # which may be older than a change in the same second

    def tell(code: str = FIT, module: str = "fit") -> Story:
        story = Story(tmp_path / "project", module)
        story.root.mkdir()
        names.append(module)
        sys.path.insert(0, str(story.root))
        story.git("init", "-q", "-b", "main")
        (story.root / "pytest.ini").write_text(f"[pytest]\ngoldmark_cases = {module}:{module}\n")
        (story.root / ".gitignore").write_text("__pycache__/\n*.npz\n.goldmark/\n")
        (story.root / f"{module}.py").write_text(code)
        story.commit("Train it")
        story.record(trained(story))
        monkeypatch.chdir(story.root)
        return story

    yield tell
    for name in names:
        sys.modules.pop(name, None)


@pytest.fixture
def goldmark() -> Callable[..., Answer]:
    """Run a command in this process, in the current directory."""
    runner = CliRunner(env={"COLUMNS": "160"})
    return lambda *arguments: runner.invoke(program, arguments, catch_exceptions=False)
