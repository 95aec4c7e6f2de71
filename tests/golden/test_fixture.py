"""What the `golden` fixture takes, where it keeps it, and how it holds metrics of trained models."""

from __future__ import annotations

from pathlib import Path

import pytest
import scipy.stats  # noqa: F401 (sessions in this process forget modules they load, and numpy cannot be loaded twice)

import goldmark.golden.fixture  # noqa: F401
from goldmark.golden.folder import golden_names

CLOSE = "def test_trace(golden):\n    golden.close({{'trace': {trace}, 'share': 0.25}})\n"
UPDATE = ("--snapshot-update", "--golden-reason", "because")

TRAINED = """
SEEDS = range({seeds})
RMSE = [{scale} * (1 + 0.01 * ((7 * seed) % 5 - 2)) for seed in SEEDS]
BUG = [3 + 0.02 * seed for seed in SEEDS]

def test_training(golden):
    golden.exact({{"n_params": 12}})
    golden.statistical({{"rmse": RMSE}}, seeds=SEEDS, margin="2%", guards={{"rmse": BUG}}, stream={stream})
"""


def trained(scale: float = 1.0, seeds: int = 8, stream: str = "None") -> str:
    """A test with a trained metric, its bug three times as large."""
    return TRAINED.format(scale=scale, seeds=seeds, stream=stream)


@pytest.fixture
def run(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch):
    """Run a session in this process, without what only costs time."""
    monkeypatch.delenv("PYTEST_XDIST_WORKER", raising=False)  # syrupy keeps silent where it sees a worker

    def run(*arguments: str) -> pytest.RunResult:
        quiet = ("no:cacheprovider", "no:xdist", "no:randomly", "no:hypothesispytest", "no:benchmark")
        options = [part for plugin in quiet for part in ("-p", plugin)]
        return pytester.runpytest_inprocess(*options, *arguments)

    return run


@pytest.fixture
def write(pytester: pytest.Pytester):
    """Write a test file, `test_it.py` unless a path is given."""

    def write(text: str, path: str = "test_it.py") -> None:
        file = pytester.path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    return write


@pytest.fixture
def folder(pytester: pytest.Pytester) -> Path:
    """The golden folder of the tests that the tests run."""
    return pytester.path / "golden"


class TestStatistical:
    """Metrics of trained models in a user's test."""

    def test_create_pass_and_fail_on_the_bug(self, run, write) -> None:
        """A shift of 50 percent fails with n, the detectable effect and the cause; the same values pass."""
        write(trained())
        created = run(*UPDATE)
        assert pytest.ExitCode.OK == created.ret
        assert pytest.ExitCode.OK == run().ret
        write(trained(scale=1.5))
        failed = run()
        assert pytest.ExitCode.TESTS_FAILED == failed.ret
        failed.stdout.fnmatch_lines(["*does not hold*", "*rmse*", "*code changed: test_it.py*"])

    def test_without_a_change_of_code_a_difference_is_named_as_such(self, run, write) -> None:
        """Numbers that move on their own, by less than any margin, fail the repeat rule."""
        write(trained().replace("1 + 0.01", "float(__import__('pathlib').Path('x').read_text()) + 0.01"))
        Path("x").write_text("1")
        assert pytest.ExitCode.OK == run(*UPDATE).ret
        Path("x").write_text("1.0001")
        failed = run()
        assert pytest.ExitCode.TESTS_FAILED == failed.ret
        failed.stdout.fnmatch_lines(["*neither code nor environment changed*"])

    def test_fewer_seeds_are_counted_as_not_checked(self, run, write) -> None:
        """A run with fewer seeds neither passes silently nor fails."""
        write(trained())
        run(*UPDATE)
        write(trained(seeds=5))
        result = run()
        assert pytest.ExitCode.OK == result.ret
        result.stdout.fnmatch_lines(["1 not checked", "not checked: *seeds*: test_it/test_training"])

    def test_a_metric_without_a_guard_is_said_to_be_only_shown(self, run, write) -> None:
        """A check that cannot fail must not look like one that can."""
        write(trained().replace('guards={"rmse": BUG}, ', ""))
        assert pytest.ExitCode.OK == run(*UPDATE).ret
        run().stdout.fnmatch_lines(["not checked: without a guard, so only shown: rmse: test_it/test_training"])

    def test_a_bug_that_the_golden_cannot_see_is_refused(self, run, write, folder: Path) -> None:
        """Guard values like the golden's own are refused when recording."""
        write(trained().replace('guards={"rmse": BUG}', 'guards={"rmse": RMSE}'))
        result = run(*UPDATE)
        assert pytest.ExitCode.TESTS_FAILED == result.ret
        result.stdout.fnmatch_lines(
            ["nothing written: this must not be recorded:", "*rmse: this golden cannot see its bug*"]
        )
        assert not folder.exists() or [] == golden_names(folder)

    @pytest.mark.parametrize(
        ("wrong", "says"),
        [
            ("seeds=range(7)", "'rmse' has 8 values for 7 seeds"),
            ("seeds=[0] * 8", "more than once"),
            ("seeds=SEEDS, guards={'rsme': BUG}", "guards names 'rsme'; the metrics of this call: rmse"),
            ("seeds=SEEDS, stream=['a']", "'stream' has 1 values for 8 seeds"),
        ],
    )
    def test_wrong_arguments_are_named(self, run, write, wrong: str, says: str) -> None:
        """A misspelt guard or a missing value is an error, not a check that checks less."""
        head = trained().split("def ")[0]
        write(head + f"def test_a(golden):\n    golden.statistical({{'rmse': RMSE}}, margin=0.1, {wrong})\n")
        result = run(*UPDATE)
        assert pytest.ExitCode.TESTS_FAILED == result.ret
        assert says in result.stdout.str()


class TestNames:
    """Where the golden of a test lies."""

    def test_files_classes_parameters_and_given_names_do_not_clash(self, run, write, folder: Path) -> None:
        """Two files of the same name, a class, parameters with odd characters, and a name of the user's choice."""
        body = "def test_x(golden):\n    golden.close({'x': 1.0})\n"
        write(body, "a/test_it.py")
        write(body, "b/test_it.py")
        write(
            "import pytest\nclass TestC:\n    @pytest.mark.parametrize('p', ['q/r', 'q-r', '../z'])\n"
            "    def test_y(self, golden, p):\n        golden.exact({'p': p})\n"
            "def test_named(golden):\n    golden('my/own').exact({'x': 1})\n    golden('my/own').close({'y': 2.0})\n"
        )
        assert pytest.ExitCode.OK == run("--import-mode=importlib", *UPDATE).ret
        names = golden_names(folder)
        assert {"a/test_it/test_x", "b/test_it/test_x", "my/own", "test_it/TestC/test_y[q-r]"} < set(names)
        assert 6 == len(names)
        assert pytest.ExitCode.OK == run("--import-mode=importlib").ret

    @pytest.mark.parametrize("how", ["ini", "option"])
    def test_the_folder_can_be_chosen(self, run, write, pytester: pytest.Pytester, how: str) -> None:
        """`golden_dir` in the ini file, or `--golden-dir`, which comes first."""
        write(CLOSE.format(trace=[1.0]))
        pytester.makeini(f"[pytest]\ngolden_dir = {'kept/here' if how == 'ini' else 'elsewhere'}\n")
        assert pytest.ExitCode.OK == run(*UPDATE, *(["--golden-dir", "kept/here"] if how == "option" else [])).ret
        assert ["test_it/test_trace"] == golden_names(pytester.path / "kept/here")


class TestReadyResults:
    """Results that were built elsewhere, such as those of a catalogue case."""

    def test_are_recorded_held_and_failed_as_a_whole(self, run, write, folder: Path) -> None:
        """The result's name is the golden's; the given update command is in the message; a lost entry fails."""
        text = (
            "from goldmark.golden.store import Close, Result\n"
            "def test_a(golden):\n"
            "    result = Result('case/variant', {exact}, {{'x': Close(1.0)}}, fingerprint={{'python': '3'}})\n"
            "    assert golden.result(result, update_command='do update').ok\n"
        )
        write(text.format(exact={"n": 1}))
        assert pytest.ExitCode.OK == run(*UPDATE).ret
        assert ["case/variant"] == golden_names(folder)
        run().stdout.fnmatch_lines(["1 hold"])
        write(text.format(exact={}))
        failed = run()
        assert pytest.ExitCode.TESTS_FAILED == failed.ret
        failed.stdout.fnmatch_lines(["*exact n: only in the golden*", "if the change is meant: do update"])


class TestSources:
    """The code behind a test, which tells a change of code from one of the environment."""

    def test_an_imported_module_of_the_project_counts(self, run, write) -> None:
        """Without `sources`, a change of a module that the test imports is named as the cause."""
        write("SCALE = 1.0\n", "library.py")
        code = "import sys; sys.path.insert(0, '.'); sys.modules.pop('library', None); import library\n"
        write(code + trained().replace("RMSE = [1.0", "RMSE = [library.SCALE"))
        assert pytest.ExitCode.OK == run(*UPDATE).ret
        write("SCALE = 1.50\n", "library.py")
        result = run()
        assert pytest.ExitCode.TESTS_FAILED == result.ret
        result.stdout.fnmatch_lines(["code changed: library.py"])

    def test_named_sources_replace_the_imported_ones(self, run, write) -> None:
        """With `sources`, only the test, its conftest and what is named count; a name without a file is an error."""
        write("SCALE = 1.0\n", "kernel.py")
        write(trained().replace("seeds=SEEDS", "seeds=SEEDS, sources=['kernel.py']"))
        assert pytest.ExitCode.OK == run(*UPDATE).ret
        write("SCALE = 2.0  # another\n", "kernel.py")
        write(trained(scale=1.5).replace("seeds=SEEDS", "seeds=SEEDS, sources=['kernel.py']"))
        run().stdout.fnmatch_lines(["code changed: kernel.py, test_it.py"])
        write(trained().replace("seeds=SEEDS", "seeds=SEEDS, sources=['nowhere.py']"))
        run().stdout.fnmatch_lines(["*sources names 'nowhere.py', where no Python file is*"])
