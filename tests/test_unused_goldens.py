"""Goldens that no test uses, and goldens of tests that were renamed."""

from __future__ import annotations

from pathlib import Path

import pytest

from goldmark.golden._files.entries import Result
from goldmark.golden._files.folder import golden_names
from goldmark.golden._update.apply import apply_update

CATALOGUE = """
from goldmark.case import ModelCase, Variant

class Mine(ModelCase):
    def make_data(self, settings, seed):
        raise NotImplementedError
    make_model = loss = evaluate = baselines = examine = make_data

fixed = Variant(name="fixed", says="", role="fixed")
MINE = Mine(name="mine", title="", says="", settings=None, seeds=1, variants=(fixed,), metrics=(), claims=())
"""
CLOSE = "def test_trace(golden):\n    golden.close({{'trace': {trace}, 'share': 0.25}})\n"
UPDATE = ("--golden-update", "--golden-reason", "because")


class TestUnused:
    """Goldens that no test uses any more."""

    @pytest.fixture(autouse=True)
    def two_goldens(self, run, write) -> None:
        """A golden whose test is gone, beside one in use."""
        write(CLOSE.format(trace=[1.0]))
        write(CLOSE.format(trace=[1.0]), "test_gone.py")
        assert pytest.ExitCode.OK == run(*UPDATE).ret
        Path("test_gone.py").unlink()

    def test_a_complete_green_run_lists_them_and_deletes_nothing(self, run, folder: Path) -> None:
        """They are named with the way to delete them, the exit status stays 0, and an update leaves them too."""
        for arguments in ((), UPDATE):
            result = run(*arguments)
            assert pytest.ExitCode.OK == result.ret
            result.stdout.fnmatch_lines(["1 unused: test_gone/test_trace (delete with --golden-prune)"])
        assert ["test_gone/test_trace", "test_it/test_trace"] == golden_names(folder)

    @pytest.mark.parametrize(
        "selection", [["-k", "trace"], ["test_it.py"], ["test_it.py::test_trace"], ["-m", "not slow"]]
    )
    def test_a_selection_does_not_list_them(self, run, selection: list[str]) -> None:
        """A run that was asked for some tests does not know what the others use; pruning says so."""
        result = run(*selection)
        assert pytest.ExitCode.OK == result.ret
        result.stdout.fnmatch_lines(["1 hold"])
        result.stdout.no_fnmatch_line("*unused*")
        refused = run(*selection, "--golden-prune")
        assert pytest.ExitCode.TESTS_FAILED == refused.ret
        refused.stdout.fnmatch_lines(["nothing pruned: tests were selected on the command line*"])

    def test_a_skipped_test_keeps_its_own_golden_and_no_other(self, run, write, folder: Path) -> None:
        """One test that is skipped for ever does not forbid pruning for ever, whatever fixtures it asks for."""
        skipped = "import pytest\n@pytest.mark.skip\ndef test_trace({}):\n    pass\n"
        for argument in ("golden", "tmp_path"):
            write(skipped.format(argument))
            result = run("--golden-prune" if argument == "tmp_path" else "-q")
            result.assert_outcomes(skipped=1)
            result.stdout.fnmatch_lines(["1 * test_gone/test_trace*"])
            result.stdout.no_fnmatch_line("*test_it/*")
        assert ["test_it/test_trace"] == golden_names(folder)

    @pytest.mark.parametrize(
        "away",
        [
            "pytest.skip('no', allow_module_level=True)",
            "pytest.importorskip('no_such_module')",
            "class TestA:\n    __init__ = 1\n    pytest.skip('no', allow_module_level=True)",
            "import no_such_module",
        ],
    )
    def test_a_file_that_is_not_collected_keeps_its_goldens(self, run, write, folder: Path, away: str) -> None:
        """What a skipped or broken file holds nobody knows."""
        write(f"import pytest\n{away}\n" + CLOSE.format(trace=[1.0]))
        run().stdout.fnmatch_lines(["1 unused: test_gone/test_trace (delete with --golden-prune)"])

    @pytest.mark.parametrize("option", ["addopts = -m 'not slow'", "addopts = -k test_other", "testpaths = unit"])
    def test_what_the_ini_file_leaves_out_is_in_use(self, run, write, pytester, folder: Path, option: str) -> None:
        """A test that exists and is never selected keeps its golden; the run counts as complete all the same."""
        pytester.makeini(f"[pytest]\nmarkers = slow\n{option}\n")
        write("import pytest\n@pytest.mark.slow\n" + CLOSE.format(trace=[1.0]))
        write("def test_other():\n    pass\n", "unit/test_other.py")
        run("--golden-prune").stdout.fnmatch_lines(["1 pruned: test_gone/test_trace"])
        assert ["test_it/test_trace"] == golden_names(folder)

    def test_the_last_golden_test_that_goes_is_seen(self, run, folder: Path, write) -> None:
        """A run in which no test asks for a golden still names those that none uses; a red run too."""
        write("def test_trace():\n    assert False\n")
        result = run()
        assert pytest.ExitCode.TESTS_FAILED == result.ret
        result.stdout.fnmatch_lines(["1 unused: test_gone/test_trace (delete with --golden-prune)"])
        write("def test_trace():\n    pass\n")
        run().stdout.fnmatch_lines(["2 unused: test_gone/test_trace, test_it/test_trace (delete*"])

    def test_a_failing_test_keeps_everything_from_being_pruned(self, run, folder: Path, write) -> None:
        """Only a green run prunes."""
        write("def test_trace():\n    assert False\n")
        run("--golden-prune").stdout.fnmatch_lines(["nothing pruned: the run was not green;*"])
        assert ["test_gone/test_trace", "test_it/test_trace"] == golden_names(folder)

    def test_a_case_keeps_its_goldens(self, run, write, pytester, folder: Path) -> None:
        """A golden that no test recorded is in use while a case of `goldmark_cases` has it, and unused without."""
        for name in ("mine/fixed", "mine/gone"):
            apply_update(folder, {name: Result(name=name, exact={"n": 1})}, "by the command line")
        pytester.makepyfile(catalogue=CATALOGUE)
        pytester.makeini("[pytest]\ngoldmark_cases = catalogue:MINE\n")
        run().stdout.fnmatch_lines(["2 unused: mine/gone, test_gone/test_trace (delete*"])
        write("import pytest\n@pytest.mark.skip\ndef test_b():\n    pass\n", "test_b.py")
        apply_update(folder, {"other": Result(name="other", exact={"n": 1})}, "by an earlier version")
        run().stdout.fnmatch_lines(
            ["2 unused: mine/gone, test_gone/test_trace (delete*"]
        )  # the skipped test may use it
        write("def test_b():\n    pass\n", "test_b.py")
        run().stdout.fnmatch_lines(["3 unused: mine/gone, other, test_gone/test_trace (delete*"])

    def test_a_damaged_golden_that_no_test_uses_is_named(self, run, folder: Path) -> None:
        """It fails no test, and nothing is pruned."""
        (folder / "test_gone" / "test_trace.json").write_text("{")
        result = run()
        assert pytest.ExitCode.OK == result.ret
        result.stdout.fnmatch_lines(["which goldens are unused is not known: *test_trace.json is not a golden that*"])
        assert pytest.ExitCode.TESTS_FAILED == run("--golden-prune").ret
        assert 2 == len(golden_names(folder))

    def test_pruning_deletes_them_after_a_complete_green_run(self, run, folder: Path) -> None:
        """`--golden-prune` deletes what was listed."""
        result = run("--golden-prune")
        assert pytest.ExitCode.OK == result.ret
        result.stdout.fnmatch_lines(["1 pruned: test_gone/test_trace"])
        assert ["test_it/test_trace"] == golden_names(folder)


class TestRenamed:
    """A test that has a new name, and with it no golden."""

    @pytest.fixture(autouse=True)
    def renamed(self, run, write) -> None:
        """`test_trace` was recorded and is called `test_lr` now; `test_b` stays as it was."""
        write(CLOSE.format(trace=[1.0]) + "\ndef test_b(golden):\n    golden.exact({'n': 1})\n")
        assert pytest.ExitCode.OK == run(*UPDATE).ret
        write(
            CLOSE.format(trace=[1.0]).replace("test_trace", "test_lr")
            + "\ndef test_b(golden):\n    golden.exact({'n': 1})\n"
        )

    def test_the_run_that_misses_its_golden_names_the_way(self, run) -> None:
        """One golden missing and one unused: the command that moves it is complete."""
        result = run()
        assert pytest.ExitCode.TESTS_FAILED == result.ret
        result.stdout.fnmatch_lines(
            [
                "1 unused: test_it/test_trace (delete with --golden-prune)",
                "*renamed*: goldmark golden mv test_it/test_trace test_it/test_lr",
            ]
        )

    @pytest.mark.parametrize("selected", [(), ("test_it.py::test_lr",)])
    def test_a_new_golden_with_the_entries_of_an_unused_one_is_offered_as_a_rename(self, run, selected) -> None:
        """Also where one test alone is recorded; the golden of a test that was only not selected is not offered."""
        result = run(*selected, *UPDATE)
        assert pytest.ExitCode.OK == result.ret
        offer = "test_it/test_lr has the entries of test_it/test_trace, *: "
        result.stdout.fnmatch_lines([f"{offer}goldmark golden mv test_it/test_trace test_it/test_lr"])

    def test_other_entries_are_not_offered(self, run, write) -> None:
        """A new golden with other numbers is no rename, nor is one like a golden in use."""
        write(
            CLOSE.format(trace=[2.0]).replace("test_trace", "test_lr")
            + "".join(f"\ndef test_{name}(golden):\n    golden.exact({{'n': 1}})\n" for name in "bc")
        )
        result = run("test_it.py::test_c", "test_it.py::test_lr", *UPDATE)
        assert pytest.ExitCode.OK == result.ret
        result.stdout.no_fnmatch_line("*golden mv*")
