"""The whole life of a golden in a user's own tests: created, held, failed, updated, refused, pruned."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from goldmark.golden._files.folder import find_golden, golden_names

CLOSE = "def test_trace(golden):\n    golden.close({{'trace': {trace}, 'share': 0.25}})\n"
UPDATE = ("--golden-update", "--golden-reason", "because")


class TestLife:
    """From the first failure for want of a golden to an update."""

    def test_a_missing_golden_fails_and_says_how_to_create_it(self, run, write, folder: Path) -> None:
        """The message holds the command; nothing is written."""
        write(CLOSE.format(trace=[1.0]))
        result = run()
        assert pytest.ExitCode.TESTS_FAILED == result.ret
        result.stdout.fnmatch_lines(
            [
                "golden 'test_it/test_trace' does not exist; create it: pytest *::test_trace --golden-update *",
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
                "*pytest test_it.py::test_trace --golden-update --golden-reason*",
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

    def test_the_root_and_not_the_current_folder_decides(
        self, run, write, folder: Path, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Names and folder are those of pytest's root wherever it is called; the command is one for where that was."""
        pytester.makeini("[pytest]\n")
        write(CLOSE.format(trace=[1.0]), "tests/test_it.py")
        monkeypatch.chdir(pytester.path / "tests")
        assert pytest.ExitCode.OK == run(*UPDATE).ret
        assert ["tests/test_it/test_trace"] == golden_names(folder)
        write(CLOSE.format(trace=[2.0]), "tests/test_it.py")
        run().stdout.fnmatch_lines(["if the change is meant: pytest test_it.py::test_trace --golden-update *"])
        monkeypatch.chdir(pytester.path)
        run().stdout.fnmatch_lines(["if the change is meant: pytest tests/test_it.py::test_trace --golden-update *"])

    @pytest.mark.parametrize("arguments", [("--golden-update",), ("--golden-update", "--golden-reason", " ")])
    def test_update_without_a_reason_writes_nothing_and_says_how(self, run, write, folder: Path, arguments) -> None:
        """No test is even run: a training of an hour would be in vain."""
        write(CLOSE.format(trace=[1.0]))
        result = run(*arguments)
        assert pytest.ExitCode.USAGE_ERROR == result.ret
        result.stderr.fnmatch_lines(["*no golden was written: an update needs a reason: pytest --golden-update *"])
        assert not folder.exists()

    def test_a_reason_without_an_update_is_refused(self, run, write) -> None:
        """It would otherwise be believed to have recorded something."""
        write(CLOSE.format(trace=[1.0]))
        result = run("--golden-reason", "because")
        assert pytest.ExitCode.USAGE_ERROR == result.ret
        result.stderr.fnmatch_lines(["*the reason of an update, and none was asked for: pytest --golden-update *"])

    def test_new_only_records_what_is_missing_and_holds_the_rest(self, run, write, folder: Path) -> None:
        """With syrupy's `--snapshot-update-new-only` an existing golden still fails, and then nothing is written."""
        write(CLOSE.format(trace=[1.0]))
        run(*UPDATE)
        write(CLOSE.format(trace=[2.0]))
        write(CLOSE.format(trace=[3.0]), "test_new.py")
        new_only = ("-p", "syrupy", "--snapshot-update-new-only", *UPDATE[1:])
        assert pytest.ExitCode.TESTS_FAILED == run(*new_only).ret
        assert ["test_it/test_trace"] == golden_names(folder)
        assert pytest.ExitCode.OK == run("test_new.py", *new_only).ret
        assert ["test_it/test_trace", "test_new/test_trace"] == golden_names(folder)

    @pytest.mark.parametrize("once", [True, False])
    def test_a_fixture_asked_for_by_name_is_seen(self, run, write, folder: Path, once: bool) -> None:
        """`request.getfixturevalue("golden")` records, with and without repetition, and holds like an argument."""
        by_name = "(request):\n    golden = request.getfixturevalue('golden')"
        write(CLOSE.format(trace=[1.0]).replace("(golden):", by_name))
        created = run(*UPDATE, once=once)
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

    def test_a_failure_that_the_test_expects_is_not_counted_as_one(self, run, write) -> None:
        """Beside exit status 0 no golden is said to have failed."""
        write(CLOSE.format(trace=[1.0]))
        run(*UPDATE)
        write("import pytest\n@pytest.mark.xfail\n" + CLOSE.format(trace=[2.0]))
        result = run()
        assert pytest.ExitCode.OK == result.ret
        result.stdout.fnmatch_lines(["1 expected to fail", "does not hold, as the test expects: test_it/test_trace"])

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
        result.assert_outcomes(failed=1)
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

    def test_names_that_differ_by_case_alone_are_refused(self, run, write, folder: Path) -> None:
        """Where case does not count in the names of files one would replace the other; both names are told."""
        case = (
            "import pytest\n@pytest.mark.parametrize('p', {})\ndef test_a(golden, p):\n    golden.exact({{'p': p}})\n"
        )
        write(case.format(["l1", "L1"]))
        both = run(*UPDATE)
        assert pytest.ExitCode.TESTS_FAILED == both.ret
        both.stdout.fnmatch_lines(
            ["nothing written: names of goldens are unique without case:", "*l1*and*L1*differ by case*"]
        )
        assert [] == golden_names(folder)
        write(case.format(["l1"]))
        assert pytest.ExitCode.OK == run(*UPDATE).ret
        write(case.format(["L1"]))
        assert pytest.ExitCode.TESTS_FAILED == run(*UPDATE).ret
        assert ["test_it/test_a[l1]"] == golden_names(folder)

    def test_a_key_checked_twice_is_refused(self, run, write) -> None:
        """The second value would silently replace the first."""
        write("def test_a(golden):\n    golden.close({'x': 1.0})\n    golden.close({'x': 2.0})\n")
        result = run(*UPDATE)
        assert pytest.ExitCode.TESTS_FAILED == result.ret
        result.stdout.fnmatch_lines(["*'x' is checked twice as close*"])

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


class TestBesideSyrupy:
    """Other snapshots of the user's."""

    BOTH = "def test_both(golden, snapshot):\n    golden.exact({{'n': {n}}})\n    assert snapshot == {n}\n"

    def test_without_a_reason_goldens_are_compared_and_other_snapshots_update(self, run, write, folder: Path) -> None:
        """`--snapshot-update` is syrupy's: golden tests hold or fail as usual, a line says so, nothing is deleted."""
        write(self.BOTH.format(n=1))
        assert pytest.ExitCode.OK == run("-p", "syrupy", "--snapshot-update", *UPDATE[1:]).ret
        stored = (folder / "test_it/test_both.json").read_bytes()
        held = run("-p", "syrupy", "--snapshot-update")
        assert pytest.ExitCode.OK == held.ret
        held.stdout.fnmatch_lines(["1 hold", "compared, not recorded: --snapshot-update came without a reason; *"])
        write(self.BOTH.format(n=2))
        failed = run("-p", "syrupy", "--snapshot-update")
        failed.assert_outcomes(failed=1)
        failed.stdout.fnmatch_lines(["  exact n: golden 1, got 2 (+100 %)", "1 snapshot updated."])
        assert "\n  2\n" in Path("__snapshots__/test_it.ambr").read_text()
        assert stored == (folder / "test_it/test_both.json").read_bytes()

    def test_with_a_reason_goldens_are_recorded_with_the_other_snapshots(self, run, write, folder: Path) -> None:
        """One command for both."""
        write(self.BOTH.format(n=1))
        created = run("-p", "syrupy", "--snapshot-update", *UPDATE[1:])
        assert pytest.ExitCode.OK == created.ret
        created.stdout.fnmatch_lines(["1 recorded", "1 written, *", "1 snapshot generated."])
        assert ["test_it/test_both"] == golden_names(folder)

    def test_our_own_switch_leaves_other_snapshots_alone(self, run, write, folder: Path) -> None:
        """`--golden-update` needs no syrupy, and does not update its snapshots."""
        write(CLOSE.format(trace=[1.0]))
        assert pytest.ExitCode.OK == run("-p", "no:syrupy", *UPDATE).ret
        assert ["test_it/test_trace"] == golden_names(folder)
        write(CLOSE.format(trace=[2.0]) + "\ndef test_text(snapshot):\n    assert snapshot == 'text'\n")
        assert pytest.ExitCode.TESTS_FAILED == run("-p", "syrupy", *UPDATE).ret
        assert not Path("__snapshots__").exists()

    @pytest.mark.parametrize("reason", [(), UPDATE[1:]])
    def test_another_plugin_may_have_the_option(self, run, write, pytester: pytest.Pytester, reason) -> None:
        """pytest-snapshot registers `--snapshot-update` under another name; it is read there, and never registered."""
        write(CLOSE.format(trace=[1.0]))
        pytester.makeconftest(
            "def pytest_addoption(parser):\n    parser.addoption('--snapshot-update', action='store_true')\n"
        )
        result = run("-p", "no:syrupy", "--snapshot-update", *reason)
        assert (pytest.ExitCode.OK if reason else pytest.ExitCode.TESTS_FAILED) == result.ret
        result.stdout.fnmatch_lines(["1 recorded" if reason else "compared, not recorded: *"])

    def test_the_golden_of_a_test_that_crashed_early_is_kept(self, run, write, folder: Path) -> None:
        """An update in which a test fails before its check deletes nothing."""
        write(CLOSE.format(trace=[1.0]))
        run(*UPDATE)
        write("def test_trace(golden):\n    raise RuntimeError\n")
        assert pytest.ExitCode.TESTS_FAILED == run(*UPDATE).ret
        assert ["test_it/test_trace"] == golden_names(folder)


class TestParallel:
    """The same under pytest-xdist, in processes of their own."""

    @pytest.mark.slow  # three sessions of three processes
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
        write("import pytest\npytest.skip('no', allow_module_level=True)\n", "test_c.py")
        write("import pytest\n@pytest.mark.xdist_group('g')\ndef test_trace():\n    pass\n", "test_a.py")
        failed = pytester.runpytest_inprocess(*parallel, "--dist", "loadgroup")  # which appends @g to the test's id
        assert pytest.ExitCode.TESTS_FAILED == failed.ret
        failed.stdout.fnmatch_lines(
            ["*trace[[]0]: golden 1*got 2*", "1 failed", "2 unused: test_a/test_trace, test_d/test_trace (*"]
        )
        assert 4 == len(golden_names(folder))
