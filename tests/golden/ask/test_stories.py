"""A fault in training code, from the commit that brings it to the commit that is named: real git, real training."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import goldmark as package

NET = '''"""A small network, trained with dropout: in numpy, which processes load at once."""

import numpy as np

from goldmark import Metric, experiment


def points(n, draws):
    """Points, and a bent surface over them with noise."""
    x = draws.standard_normal((n, 4))
    return x, np.sin(x).sum(axis=1) + 0.1 * draws.standard_normal(n)


class Net:
    """Inputs of which some are dropped, a hidden layer, and an output."""

    def __init__(self, draws):
        self.weights = [draws.uniform(-0.5, 0.5, (4, 32)), draws.uniform(-0.5, 0.5, 32), draws.uniform(-0.2, 0.2, 32)]
        self.gradients = [np.zeros_like(weight) for weight in self.weights]
        self.draws, self.training = draws, False

    def __call__(self, x):
        kept = self.draws.random(x.shape) >= 0.3 if self.training else 1
        self.x = x * kept / (0.7 if self.training else 1)
        self.hidden = np.tanh(self.x @ self.weights[0] + self.weights[1])
        return self.hidden @ self.weights[2]

    def backward(self, errors):
        """Add the gradients of the mean squared error."""
        of_output = 2 * errors / len(errors)
        of_hidden = np.outer(of_output, self.weights[2]) * (1 - self.hidden**2)
        self.gradients[0] += self.x.T @ of_hidden
        self.gradients[1] += of_hidden.sum(axis=0)
        self.gradients[2] += self.hidden.T @ of_output


@experiment(seeds=12, metrics=[Metric("val_rmse", margin="2%", better="lower", guard="slow")])
def net(seed, *, rate=0.1):
    """Train it."""
    draws = np.random.default_rng(seed)
    x, y = points(128, draws)
    val_x, val_y = points(256, draws)
    model = Net(draws)
    for _ in range(90):
        model.training = True
        model.gradients = [np.zeros_like(weight) for weight in model.weights]
        model.backward(model(x) - y)
        model.weights = [w - rate * g for w, g in zip(model.weights, model.gradients)]
    model.training = False
    errors = model(val_x) - val_y
    return {"val_rmse": float(np.sqrt(np.mean(errors**2)))}


slow = net.variant("slow", rate=0.01)
'''
FAULTS = {
    "gradients not reset": ("        model.gradients = [np.zeros_like(weight) for weight in model.weights]\n", ""),
    "a shift of the targets": ("model(x) - y", "model(x) - np.roll(y, 1)"),
    "evaluation mode left on": ("        model.training = True\n", "        model.training = False\n"),
    "a tenth of the rate": ("- rate *", "- rate / 10 *"),
}


def with_fault(story, fault):
    """Commit a fault between innocent changes; return the commits before the first of them and of the fault."""
    good = story.git("rev-parse", "HEAD")
    story.commit("Say more", ('"""Train it."""', '"""Train it, and return its error."""'))
    story.commit(
        "Take fewer lines", ("    errors = model(val_x) - val_y\n", ""), ("errors**2", "(model(val_x) - val_y) ** 2")
    )
    bad = story.commit("Tidy up", fault)
    story.commit("Count on", ("for _ in range(90)", "for _ in range(0, 90)"))
    return good, bad


@pytest.mark.slow
def test_an_innocent_commit_is_not_there_and_a_fault_is_bisected(tell, goldmark):
    """Half of the learning rate is told to its commit, and the innocent commit before it is not there."""
    story = tell()
    good = story.git("rev-parse", "HEAD")
    story.commit("Rename", ("gradient = [2", "slope = [2"), ("(weights, gradient)", "(weights, slope)"))
    before = story.state()
    done = goldmark("golden", "confirm", "fit/default", "--jobs", "1", "--seeds", "5")
    assert (0, True) == (done.exit_code, "val_rmse: not there: every seed comes again" in done.output), done.output
    assert "on the fresh seeds 1000 ... 1004: the working tree against" in done.output
    assert "(Record the golden):" in done.output
    assert before == story.state()
    fault = story.commit("Tidy up", ("rate * g", "rate / 2 * g"))
    before = story.state()
    done = goldmark("bisect", good, "HEAD", "fit/default", "--jobs", "1", "--seeds", "5")
    assert 0 == done.exit_code, done.output
    assert f"first bad commit: {fault[:7]} (Tidy up)" == done.output.splitlines()[-2]
    assert f"{fault} is the first bad commit" in done.output
    assert "val_rmse moved by " in done.output.splitlines()[-1]
    assert before == story.state()


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS)
def test_faults_of_training_code_are_confirmed_and_bisected(tell, goldmark, fault):
    """What the golden catches is real on fresh seeds, and told to the commit that brought it."""
    story = tell(NET, "net")
    good, bad = with_fault(story, FAULTS[fault])
    assert story.holds() is False
    before = story.state()
    done = goldmark("golden", "confirm", "net/default", "--jobs", "2")
    assert (1, True) == (done.exit_code, "val_rmse: REAL: " in done.output), done.output
    done = goldmark("bisect", good, "HEAD", "net/default", "--jobs", "2")
    assert 0 == done.exit_code, done.output
    assert f"first bad commit: {bad[:7]} (Tidy up)" in done.output
    assert before == story.state()


@pytest.mark.slow
def test_innocent_commits_are_never_real(tell, goldmark):
    """A refactoring that sums in another order is not there, or undecided; so it is against a revision by name."""
    story = tell(NET, "net")
    story.commit("Sum by hand", ("self.hidden.T @ of_output", "(self.hidden * of_output[:, None]).sum(axis=0)"))
    assert story.holds() is True
    for arguments in ((), ("--against", "HEAD~1")):
        done = goldmark("golden", "confirm", "net/default", "--jobs", "2", *arguments)
        assert done.exit_code in (0, 3), done.output
        assert "REAL" not in done.output


@pytest.mark.slow
def test_without_git_the_stored_values_stand_for_the_code(tell, goldmark):
    """Nothing is committed any more: a fault is real all the same, and the reason why it is not paired is told."""
    story = tell(NET, "net")
    shutil.rmtree(story.root / ".git")
    path = story.root / "net.py"
    path.write_text(path.read_text().replace("- rate *", "- rate / 10 *"))
    done = goldmark("golden", "confirm", "net/default", "--jobs", "2")
    assert 1 == done.exit_code, done.output
    assert "the working tree against its stored values:" in done.output
    assert "; not paired: git rev-parse in " in done.output


@pytest.mark.slow
def test_code_that_is_not_of_the_repository_is_no_revision(tell, goldmark):
    """It would be trained twice as it is installed, and come again: that is refused, and told without pairs."""
    story = tell()
    (story.root / "fit.py").rename(story.root.parent / "fit.py")
    sys.path.insert(0, str(story.root.parent))
    story.commit("Install it", fit="")
    (story.root / "fit.py").unlink()
    story.git("commit", "-q", "-a", "-m", "Leave it out")
    done = goldmark("golden", "confirm", "fit/default", "--against", "HEAD")
    assert (2, True) == (done.exit_code, "was imported from" in done.output), done.output
    assert "and not from the revision" in done.output


TEST = '''"""A test that trains."""

import random

from goldmark import Metric


def test_training(golden):
    """Ten seeds."""
    values = [train(seed) for seed in range(10)]
    golden.statistical({"loss": values}, seeds=range(10), metrics=[Metric("loss", margin="2%")])


def train(seed):
    """A loss."""
    return random.Random(seed).uniform(1, 5) * FACTOR


FACTOR = 1.0
'''


@pytest.mark.slow
def test_the_golden_of_a_test_is_tried_on_its_own_seeds(tell, goldmark):
    """Confirmed and bisected; without the code that wrote it, it is refused with the way out."""
    story = tell()
    story.commit("Test it", test_train=TEST)
    record = ["--golden-update", "--golden-reason", "first", "-p", "no:randomly", "test_train.py"]
    subprocess.run([sys.executable, "-m", "pytest", *record], cwd=story.root, check=True, capture_output=True)
    story.commit("Record it")
    name = "test_train/test_training"
    same = goldmark("golden", "confirm", name)
    assert (0, True) == (same.exit_code, "every seed comes again" in same.output), same.output
    story.commit("Tidy up", test_train=TEST.replace("FACTOR = 1.0", "FACTOR = 1.1"))
    before = story.state()
    done = goldmark("golden", "confirm", name)
    assert (1, True) == (done.exit_code, "loss: REAL: 10 %, 10 % to 10 % (99 %)" in done.output), done.output
    assert f"{name} on the golden's own seeds, for a test has no others: the working tree against" in done.output
    fault = story.git("rev-parse", "HEAD")
    story.commit("Say more", test_train=TEST.replace("FACTOR = 1.0", "FACTOR = 1.1  # of each loss"))
    before = story.state()
    told = goldmark("bisect", "HEAD~2", "HEAD", name)
    assert 0 == told.exit_code, told.output
    assert f"first bad commit: {fault[:7]} (Tidy up)" == told.output.splitlines()[-2]
    assert before == story.state()
    for command in (("golden", "confirm"), ("bisect", "HEAD~2", "HEAD")):
        seeds = goldmark(*command, name, "--seeds", "20")
        assert (2, True) == (seeds.exit_code, "leave --seeds out" in seeds.output)
    shutil.rmtree(story.root / ".git")
    refused = goldmark("golden", "confirm", name)
    assert (2, True) == (refused.exit_code, "let the test hold the runs of an experiment" in refused.output)


WAIT = '''"""Training that takes its time."""

import os
import time
from pathlib import Path


def wait():
    """Say which process has begun, and never end."""
    Path(MARK + ".new").write_text(str(os.getpid()))
    Path(MARK + ".new").rename(MARK)
    time.sleep(600)
'''


@pytest.mark.slow
@pytest.mark.parametrize(
    "command",
    [("golden", "confirm", "fit/default", "--against", "HEAD~1"), ("bisect", "HEAD~2", "HEAD", "fit/default")],
)
def test_an_interrupted_command_leaves_nothing_behind(tell, tmp_path, command):
    """Ctrl-C while a commit trains: worktrees, folders and processes are gone, the working tree is as it was."""
    story = tell()
    mark = tmp_path / "training"
    importing = ("import random\n", "import random\n\nfrom waiting import wait\n")
    waiting = ("    weights = [0.0, 0.0]", "    weights = wait()")
    story.commit("Wait", importing, waiting, waiting=WAIT.replace("MARK", repr(str(mark))))
    story.commit("Mend it", waiting[::-1], ("rate=0.05", "rate=0.005"))
    folder = tmp_path / "temporary"
    folder.mkdir()
    before = story.state()
    arguments = [sys.executable, "-m", "goldmark.cli", *command]
    with subprocess.Popen(arguments, cwd=story.root, env={**os.environ, "TMPDIR": str(folder)}) as process:
        deadline = time.monotonic() + 120
        while not mark.exists() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        assert 0 != process.wait(60)
    assert ([], before) == (list(folder.iterdir()), story.state())
    with pytest.raises(ProcessLookupError):
        os.kill(int(mark.read_text()), 0)


@pytest.mark.slow(minutes=1)
def test_mixup_switched_off_is_confirmed(tmp_path):
    """In this catalogue, a repository of its own: the EEG case without mixup is real, and told as its guarded bug."""
    source = Path(package.__file__).parents[2]
    for name in ("src", "golden"):
        shutil.copytree(source / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(source / "pyproject.toml", tmp_path)
    (tmp_path / "tests").mkdir()  # where its configuration has pytest look
    (tmp_path / "tests" / "__init__.py").touch()

    def git(*arguments):
        who = ("-c", "user.name=x", "-c", "user.email=x@example.org")
        subprocess.run(["git", *who, *arguments], cwd=tmp_path, check=True, capture_output=True)

    for arguments in (("init", "-q"), ("add", "-A"), ("commit", "-q", "-m", "All of it")):
        git(*arguments)
    path = tmp_path / "src" / "goldmark" / "cases" / "eeg" / "__init__.py"
    code = path.read_text()
    assert 1 == code.count("mixup_fraction: float = 1.0")
    path.write_text(code.replace("mixup_fraction: float = 1.0", "mixup_fraction: float = 0.0"))
    git("commit", "-q", "-a", "-m", "Switch mixup off")
    command = [sys.executable, "-m", "goldmark.cli", "golden", "confirm", "eeg/mixup", "--seeds", "8"]
    env = {**os.environ, "PYTHONPATH": str(tmp_path / "src")}
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    assert 1 == done.returncode, done.stderr
    assert "(All of it):\n  val_mse: REAL: " in done.stdout
    assert "; not told from 'no_mixup'" in done.stdout
