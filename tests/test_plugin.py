"""The whole life of a golden in a user's own tests: created, held, failed, updated, refused, pruned."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from goldmark.golden._files.folder import find_golden, golden_names

CLOSE = "def test_trace(golden):\n    golden.close({{'trace': {trace}, 'share': 0.25}})\n"
UPDATE = ("--snapshot-update", "--golden-reason", "because")


class TestLife:
    """From the first failure for want of a golden to an update."""

    def test_a_missing_golden_fails_and_says_how_to_create_it(self, run, write, folder: Path) -> None:
        """The message holds the command; nothing is written."""
        write(CLOSE.format(trace=[1.0]))
        result = run()
        assert pytest.ExitCode.TESTS_FAILED == result.ret
        result.stdout.fnmatch_lines(
            [
                "*'test_it/test_trace' does not exist; create it: pytest *::test_trace --snapshot-update --golden-r*",
                "1 failed",
            ]
        )
        assert not folder.exists()

    def test_create_pass_fail_update_pass(self, run, write, folder: Path) -> None:
        """The five steps, each with its text and its exit status."""
        write(CLOSE.format(trace=[1.0, 2.0, 3.0]))
        created = run(*UPDATE)
        assert pytest.ExitCode.OK == created.ret
        created.stdout.fnmatch_lines(["1 recorded", "1 written, 0 unchanged in *golden", "*(new)*2 close*"])

        passed = run()
        assert pytest.ExitCode.OK == passed.ret
        passed.stdout.fnmatch_lines(["1 hold"])

        write(CLOSE.format(trace=[1.0, 2.5, 3.1]))
        failed = run()
        assert pytest.ExitCode.TESTS_FAILED == failed.ret
        failed.stdout.fnmatch_lines(
            [
                "*golden 'test_it/test_trace' does not hold: 2 of * entries, worst first",
                "*trace[[]1]: golden 2*got 2.5*",
                "*trace[[]2]: golden 3*got 3.1*",
                "*code changed: test_it.py*",
                "*pytest test_it.py::test_trace --snapshot-update --golden-reason*",
                "1 failed",
            ]
        )

        updated = run(*UPDATE)
        assert pytest.ExitCode.OK == updated.ret
        updated.stdout.fnmatch_lines(["1 written, 0 unchanged*", "*trace*+25.00% at most, 2 of 3 moved"])
        assert pytest.ExitCode.OK == run().ret
        golden = find_golden(folder, "test_it/test_trace")
        assert golden is not None
        assert ["because", "because"] == [entry.reason for entry in golden.provenance]

    def test_update_without_a_reason_writes_nothing_and_says_how(self, run, write, folder: Path) -> None:
        """The test is not even run: a training of an hour would be in vain."""
        write(CLOSE.format(trace=[1.0]))
        result = run("--snapshot-update")
        assert pytest.ExitCode.TESTS_FAILED == result.ret
        result.stdout.fnmatch_lines(["*no golden was written: an update needs a reason: *--golden-reason*"])
        assert not folder.exists()

    def test_new_only_records_what_is_missing_and_holds_the_rest(self, run, write, folder: Path) -> None:
        """With syrupy's `--snapshot-update-new-only` an existing golden still fails, and then nothing is written."""
        write(CLOSE.format(trace=[1.0]))
        run(*UPDATE)
        write(CLOSE.format(trace=[2.0]))
        write(CLOSE.format(trace=[3.0]), "test_new.py")
        new_only = ("--snapshot-update-new-only", *UPDATE[1:])
        assert pytest.ExitCode.TESTS_FAILED == run(*new_only).ret
        assert ["test_it/test_trace"] == golden_names(folder)
        assert pytest.ExitCode.OK == run("test_new.py", *new_only).ret
        assert ["test_it/test_trace", "test_new/test_trace"] == golden_names(folder)

    @pytest.mark.parametrize("more", [(), ("--golden-repeat",)])
    def test_a_fixture_asked_for_by_name_is_seen(self, run, write, folder: Path, more: tuple[str, ...]) -> None:
        """`request.getfixturevalue("golden")` records, with and without repetition, and holds like an argument."""
        by_name = "(request):\n    golden = request.getfixturevalue('golden')"
        write(CLOSE.format(trace=[1.0]).replace("(golden):", by_name))
        created = run(*UPDATE, *more)
        assert pytest.ExitCode.OK == created.ret
        created.assert_outcomes(passed=1)
        created.stdout.fnmatch_lines(["1 recorded", "1 written, 0 unchanged in *golden"])
        run("--golden-prune").stdout.fnmatch_lines(["1 hold", "nothing to prune"])
        assert ["test_it/test_trace"] == golden_names(folder)

    def test_goldens_are_held_without_syrupy_s_plugin(self, run, write) -> None:
        """`-p no:syrupy` takes the options of an update away, and nothing else."""
        write(CLOSE.format(trace=[1.0]))
        run(*UPDATE)
        result = run("-p", "no:syrupy")
        assert pytest.ExitCode.OK == result.ret
        result.stdout.fnmatch_lines(["1 hold"])

    @pytest.mark.parametrize("how", ["caught", "expected"])
    def test_a_failure_that_the_test_wants_is_not_counted_as_one(self, run, write, how: str) -> None:
        """Beside exit status 0 no golden is said to have failed: it was not checked, and the reason is given."""
        write(CLOSE.format(trace=[1.0]))
        run(*UPDATE)
        changed = CLOSE.format(trace=[2.0]).replace("    ", "    with catch:\n        ")
        expected = "@pytest.mark.xfail\n" + CLOSE.format(trace=[2.0])
        head = "import pytest\ncatch = pytest.raises(pytest.fail.Exception)\n"
        write(head + (changed if how == "caught" else expected))
        result = run()
        assert pytest.ExitCode.OK == result.ret
        result.stdout.fnmatch_lines(["1 not checked", "not checked: it does not hold, which the test*: test_it/*"])

    def test_importing_the_plugin_loads_nothing_heavy(self) -> None:
        """Every project that has the package installed pays for what the plugin imports."""
        heavy = {"torch", "scipy", "matplotlib", "numpy", "filelock", "rich"}
        program = f"import sys, goldmark.plugin; print(sorted({heavy} & set(sys.modules)))"
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
        assert "[]" == done.stdout.strip()


class TestRefusals:
    """Nothing is written, the exit status is not 0, and the text says why."""

    def test_another_failing_test_keeps_everything_from_being_written(self, run, write, folder: Path) -> None:
        """A golden recorded beside a failing test stays unwritten."""
        write(CLOSE.format(trace=[1.0]) + "\ndef test_other():\n    assert False\n")
        result = run(*UPDATE)
        assert pytest.ExitCode.TESTS_FAILED == result.ret
        result.stdout.fnmatch_lines(["nothing written: 1 selected tests failed; *"])
        assert not folder.exists()

    def test_weakening_needs_to_be_said(self, run, write, folder: Path) -> None:
        """A dropped entry is refused; `--weaken` with the reason lets it through."""
        write(CLOSE.format(trace=[1.0]))
        run(*UPDATE)
        write("def test_trace(golden):\n    golden.close({'trace': [1.0]})\n")
        refused = run(*UPDATE)
        assert pytest.ExitCode.TESTS_FAILED == refused.ret
        refused.stdout.fnmatch_lines(
            ["1 not recorded", "nothing written: this weakens the goldens*--weaken*", "*close share is gone"]
        )
        assert pytest.ExitCode.OK == run(*UPDATE, "--weaken").ret
        golden = find_golden(folder, "test_it/test_trace")
        assert golden is not None
        assert ["trace"] == list(golden.close)

    def test_an_entry_that_is_no_longer_checked_fails(self, run, write) -> None:
        """A key that vanishes from the test is found when the test ends."""
        write(CLOSE.format(trace=[1.0]))
        run(*UPDATE)
        write("def test_trace(golden):\n    golden.close({'trace': [1.0]})\n")
        result = run()
        assert pytest.ExitCode.TESTS_FAILED == result.ret
        result.stdout.fnmatch_lines(["*close share: only in the golden*"])

    def test_a_tier_that_is_no_longer_checked_fails(self, run, write) -> None:
        """A whole check that vanishes from the test is found too."""
        write("def test_a(golden):\n    golden.exact({'n': 1})\n    golden.close({'x': 1.0})\n")
        run(*UPDATE)
        write("def test_a(golden):\n    golden.close({'x': 1.0})\n")
        result = run()
        assert pytest.ExitCode.TESTS_FAILED == result.ret
        result.stdout.fnmatch_lines(["*exact n: only in the golden*"])

    def test_a_test_that_checks_nothing_fails(self, run, write) -> None:
        """Asking for the fixture and never using it would be a check that cannot fail."""
        write("def test_a(golden):\n    pass\n")
        result = run()
        result.assert_outcomes(passed=1, errors=1)
        result.stdout.fnmatch_lines(["*golden 'test_it/test_a': the test asked for it and checked nothing with it"])

    def test_two_tests_with_one_name_are_refused(self, run, write, folder: Path) -> None:
        """The second would silently replace what the first recorded."""
        write(
            "import pytest\n@pytest.mark.parametrize('x', [1.0, 2.0])\n"
            "def test_a(golden, x):\n    golden('a').close({'x': x})\n"
        )
        result = run(*UPDATE)
        assert pytest.ExitCode.TESTS_FAILED == result.ret
        result.stdout.fnmatch_lines(["nothing written: golden 'a' is recorded by two tests*"])
        assert not folder.exists()

    def test_a_key_checked_twice_is_refused(self, run, write) -> None:
        """The second value would silently replace the first."""
        write("def test_a(golden):\n    golden.close({'x': 1.0})\n    golden.close({'x': 2.0})\n")
        result = run(*UPDATE)
        assert pytest.ExitCode.TESTS_FAILED == result.ret
        result.stdout.fnmatch_lines(["*'x' is checked twice as close*"])

    def test_what_does_not_repeat_is_refused(self, run, write, folder: Path) -> None:
        """With `--golden-repeat` each golden test runs twice, session fixtures included."""
        write(
            "import itertools, pytest\ncount = itertools.count()\n"
            "@pytest.fixture(scope='session')\ndef trained():\n    return 1.0 + 1e-3 * next(count)\n"
            "def test_a(golden, trained):\n    golden.close({'x': trained}, rel=0.1)\n"
        )
        result = run(*UPDATE, "--golden-repeat")
        assert pytest.ExitCode.TESTS_FAILED == result.ret
        result.stdout.fnmatch_lines(["*golden 'test_it/test_a' does not repeat*", "*close x: golden 1*got 1.001*"])
        assert not folder.exists()

    def test_what_repeats_is_written_once_and_shown_once(self, run, write, folder: Path) -> None:
        """A test that repeats to relative 1e-6 counts as one test."""
        write(
            CLOSE.format(trace="[1.0 + 1e-9 * next(count)]").replace(
                "def", "import itertools\ncount = itertools.count()\ndef", 1
            )
        )
        result = run(*UPDATE, "--golden-repeat")
        result.assert_outcomes(passed=1)
        assert pytest.ExitCode.OK == result.ret
        assert ["test_it/test_trace"] == golden_names(folder)

    def test_a_damaged_file_is_named_and_never_overwritten(self, run, write, folder: Path) -> None:
        """Reading and updating both stop at a file that cannot be trusted."""
        write(CLOSE.format(trace=[1.0]))
        run(*UPDATE)
        file = folder / "test_it" / "test_trace.json"
        file.write_text(file.read_text().replace("0.25", "0.26"))
        damaged = file.read_bytes()
        result = run()
        assert pytest.ExitCode.TESTS_FAILED == result.ret
        result.stdout.fnmatch_lines(["*test_trace.json is not a golden that can be trusted: its seal is broken*"])
        assert pytest.ExitCode.TESTS_FAILED == run(*UPDATE).ret
        assert damaged == file.read_bytes()

    def test_a_name_that_leads_out_of_the_folder_is_refused(self, run, write) -> None:
        """`..` never becomes part of a path."""
        write("def test_a(golden):\n    golden('../a').close({'x': 1.0})\n")
        result = run(*UPDATE)
        assert pytest.ExitCode.TESTS_FAILED == result.ret
        result.stdout.fnmatch_lines(["*'../a' cannot name a golden*"])


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

    def test_a_skipped_test_keeps_them_from_being_listed(self, run, write) -> None:
        """The golden of a skipped test is not unused."""
        write(CLOSE.format(trace=[1.0]) + "import pytest\n@pytest.mark.skip\ndef test_s(golden):\n    pass\n")
        result = run()
        result.assert_outcomes(passed=1, skipped=1)
        result.stdout.no_fnmatch_line("*unused*")

    def test_a_skipped_test_that_could_ask_by_name_keeps_them(self, run, write, folder: Path) -> None:
        """A test with `request` may use a golden that nobody can know of; one with `tmp_path` alone cannot."""
        skipped = "import pytest\n@pytest.mark.skip\ndef test_trace({0}):\n    pass\n"
        write(skipped.format("request"), "test_gone.py")
        run("--golden-prune").stdout.fnmatch_lines(["nothing pruned: 1 tests were skipped*"])
        assert ["test_gone/test_trace", "test_it/test_trace"] == golden_names(folder)
        write(skipped.format("tmp_path"), "test_gone.py")
        run("--golden-prune").stdout.fnmatch_lines(["1 pruned: test_gone/test_trace"])

    def test_pruning_deletes_them_after_a_complete_green_run(self, run, folder: Path) -> None:
        """`--golden-prune` deletes what was listed."""
        result = run("--golden-prune")
        assert pytest.ExitCode.OK == result.ret
        result.stdout.fnmatch_lines(["1 pruned: test_gone/test_trace"])
        assert ["test_it/test_trace"] == golden_names(folder)


class TestBesideSyrupy:
    """Other snapshots of the user's."""

    def test_other_snapshots_update_as_before(self, run, write, pytester: pytest.Pytester) -> None:
        """syrupy's snapshot is written although the goldens are refused for want of a reason, and counted by syrupy."""
        write(CLOSE.format(trace=[1.0]) + "\ndef test_text(snapshot):\n    assert snapshot == 'text'\n")
        result = run("--snapshot-update")
        result.assert_outcomes(passed=1, errors=1)
        result.stdout.fnmatch_lines(["1 snapshot generated."])
        assert (pytester.path / "__snapshots__" / "test_it.ambr").exists()
        assert not (pytester.path / "golden").exists()

    def test_the_golden_of_a_test_that_crashed_early_is_kept(self, run, write, folder: Path) -> None:
        """An update in which a test fails before its check deletes nothing."""
        write(CLOSE.format(trace=[1.0]))
        run(*UPDATE)
        write("def test_trace(golden):\n    raise RuntimeError\n")
        assert pytest.ExitCode.TESTS_FAILED == run(*UPDATE).ret
        assert ["test_it/test_trace"] == golden_names(folder)


class TestParallel:
    """The same under pytest-xdist, in processes of their own."""

    def test_update_hold_and_fail_with_two_workers(
        self, write, pytester: pytest.Pytester, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Workers stage, the controller commits all or nothing and prints the counts of all."""
        pytest.importorskip("xdist")
        monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")  # each process would load every plugin there is
        for name in "abcd":
            write(CLOSE.format(trace=[1.0]), f"test_{name}.py")
        monkeypatch.delenv("PYTEST_XDIST_WORKER", raising=False)  # this session would take itself for a worker
        parallel = ("-p", "xdist", "-p", "syrupy", "-p", "goldmark.plugin", "-n", "2")
        created = pytester.runpytest_inprocess(*parallel, *UPDATE)
        assert pytest.ExitCode.OK == created.ret
        created.stdout.fnmatch_lines(["4 recorded", "4 written, 0 unchanged*"])

        write(CLOSE.format(trace=[2.0]), "test_b.py")
        Path("test_d.py").write_text("def test_trace():\n    assert False\n")
        refused = pytester.runpytest_inprocess(*parallel, *UPDATE)
        assert pytest.ExitCode.TESTS_FAILED == refused.ret
        refused.stdout.fnmatch_lines(["nothing written: 1 selected tests failed*"])

        Path("test_d.py").unlink()
        failed = pytester.runpytest_inprocess(*parallel)
        assert pytest.ExitCode.TESTS_FAILED == failed.ret
        failed.stdout.fnmatch_lines(["*trace[[]0]: golden 1*got 2*", "2 hold, 1 failed"])
        assert 4 == len(golden_names(folder))
