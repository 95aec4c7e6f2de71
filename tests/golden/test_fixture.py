"""What the `golden` fixture takes, where it keeps it, and how it holds metrics of trained models."""

from __future__ import annotations

from pathlib import Path

import pytest

from goldmark.golden.folder import find_golden, golden_names

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
        run().stdout.fnmatch_lines(["1 hold", "shown only, without a guard: rmse: test_it/test_training"])

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
            ("seeds=SEEDS, guards=[1]", "guards is list; pass a dict: guards={metric: values by seed}"),
            ("seeds=SEEDS, first={'rmse': BUG}", "first names 'rmse'; the metrics with a guard: none"),
            ("seeds=SEEDS, stream=['a']", "'stream' has 1 values for 8 seeds"),
            ("seeds=SEEDS, better='up'", "better is 'up'; give one of 'higher', 'lower', 'neither'"),
            ("seeds=SEEDS, test={'rmse': 'welch'}", "test is 'welch'; give one of 't', 'permutation'"),
            ("seeds=SEEDS, alpha=7", "alpha is 7; give a false-alarm rate between 0 and 1"),
        ],
    )
    def test_wrong_arguments_are_named(self, run, write, wrong: str, says: str) -> None:
        """A misspelt guard or a missing value is one line of text, not a check that checks less."""
        head = trained().split("def ")[0]
        write(head + f"def test_a(golden):\n    golden.statistical({{'rmse': RMSE}}, margin=0.1, {wrong})\n")
        result = run(*UPDATE)
        assert pytest.ExitCode.TESTS_FAILED == result.ret
        assert says in result.stdout.str()
        result.stdout.no_fnmatch_line("*UsageError*")

    def test_values_by_seed_are_taken_in_any_order_and_for_no_other_seeds(self, run, write) -> None:
        """A dict by seed is a list in the order of the seeds; another seed's value is no value."""
        write(trained())
        assert pytest.ExitCode.OK == run(*UPDATE).ret
        write(trained().replace('"rmse": RMSE', '"rmse": {seed: RMSE[seed] for seed in reversed(SEEDS)}'))
        assert pytest.ExitCode.OK == run().ret
        write(trained().replace('"rmse": RMSE', '"rmse": {seed + 1: RMSE[seed] for seed in SEEDS}'))
        run().stdout.fnmatch_lines(["'rmse' has the seeds *'8'*; the call says seeds=*"])

    def test_two_calls_with_other_seeds_or_streams_are_refused(self, run, write) -> None:
        """A golden has one stream: the second would replace the first's."""
        write(trained() + "    golden.statistical({'loss': RMSE}, seeds=SEEDS, margin=0.1, stream=['x'] * 8)\n")
        refused = run(*UPDATE)
        assert pytest.ExitCode.TESTS_FAILED == refused.ret
        refused.stdout.fnmatch_lines(["*one stream a golden: use golden(name) for the other*"])
        write(trained() + "    golden.statistical({'loss': RMSE[:5]}, seeds=range(5), margin=0.1)\n")
        assert pytest.ExitCode.TESTS_FAILED == run(*UPDATE).ret
        write(trained() + "    golden.statistical({'loss': RMSE}, seeds=SEEDS, margin=0.1)\n")
        assert pytest.ExitCode.OK == run(*UPDATE).ret


PAIRED = """
SEEDS = range(8)
RMSE = [1 + seed + {shift} + 0.01 * {shift} * ((7 * seed) % 5) for seed in SEEDS]
BUG = [61 + seed + 0.1 * (seed % 3) for seed in SEEDS]

def test_training(golden):
    golden.statistical({{"rmse": RMSE}}, seeds=SEEDS, margin=0.1, guards={{"rmse": BUG}}, stream={stream})
"""


class TestPairing:
    """Seeds that differ much from each other and, on one stream, little from themselves."""

    @pytest.fixture
    def shifted(self, run, write):
        """Record without a shift, and run again with one: `shifted(0.5, stream)`."""

        def shifted(shift: float, stream: str, moved: str = "") -> pytest.RunResult:
            write(PAIRED.format(shift=0, stream=stream))
            assert pytest.ExitCode.OK == run(*UPDATE).ret
            assert pytest.ExitCode.OK == run().ret
            write(PAIRED.format(shift=shift, stream=moved or stream))
            return run()

        return shifted

    def test_a_shift_that_groups_hide_is_seen_in_pairs(self, shifted) -> None:
        """A fifth of the spread over seeds: with a hash a seed it fails, and says so; a shift in the margin passes."""
        failed = shifted(0.5, "[f'hash {seed}' for seed in SEEDS]")
        assert pytest.ExitCode.TESTS_FAILED == failed.ret
        failed.stdout.fnmatch_lines(
            ["*rmse: golden 4.5, got 5.01 (+11.3 %, 5.1 margins of 0.1, paired t, p *, 8 seeds, *"]
        )
        assert pytest.ExitCode.OK == shifted(0.05, "[f'hash {seed}' for seed in SEEDS]").ret

    def test_without_hashes_groups_hide_it(self, shifted) -> None:
        """The same shift passes Welch's test: it is far below what that can detect."""
        assert pytest.ExitCode.OK == shifted(0.5, "None").ret

    def test_the_message_says_what_pairing_would_buy(self, shifted) -> None:
        """Where Welch's test does alarm, it says what it detects, and what pairs of the same values would."""
        failed = shifted(20, "None")
        assert pytest.ExitCode.TESTS_FAILED == failed.ret
        failed.stdout.fnmatch_lines(
            ["*Welch, p *, 8 seeds, detects shifts of 9.*, with stream hashes, and so pairs, 1.*)"]
        )

    def test_a_moved_stream_falls_back_to_groups_and_says_so(self, shifted) -> None:
        """Other hashes: the seeds are no pairs any more, so that the small shift passes and the large one is told."""
        hashes = ("[f'hash {seed}' for seed in SEEDS]", "[f'other {seed}' for seed in SEEDS]")
        assert pytest.ExitCode.OK == shifted(0.5, *hashes).ret
        shifted(20, *hashes).stdout.fnmatch_lines(["*Welch, p *the stream moved)"])


class TestFrozen:
    """Values after the first epoch, which a model that stops learning would keep."""

    def test_they_are_stored_and_must_fail(self, run, write, folder: Path) -> None:
        """A golden that a frozen model would pass is refused; one that sees it is recorded with the values."""
        write(trained().replace("seeds=SEEDS", "seeds=SEEDS, first={'rmse': RMSE}"))
        refused = run(*UPDATE)
        assert pytest.ExitCode.TESTS_FAILED == refused.ret
        refused.stdout.fnmatch_lines(["nothing written: this must not be recorded:", "*rmse: a frozen model passes"])
        write(trained().replace("seeds=SEEDS", "seeds=SEEDS, first={'rmse': BUG}"))
        assert pytest.ExitCode.OK == run(*UPDATE).ret
        golden = find_golden(folder, "test_it/test_training")
        assert golden is not None
        assert golden.statistical["rmse"].guard_values == golden.statistical["rmse"].first_values
        assert pytest.ExitCode.OK == run().ret


class TestRules:
    """Rules that the test states otherwise than its golden: they change by an update alone."""

    @pytest.mark.parametrize(
        ("before", "now", "says"),
        [
            ('margin="2%"', 'margin="3%"', "rule rmse.margin: golden 0.0198*, now 0.0295*"),
            ('margin="2%"', "margin=0.02", "rule rmse.scale: golden 'log', now 'identity'*"),
            ('guards={"rmse": BUG}, ', "", "rule rmse.guard: golden 'the guard*, now 'none given'*"),
            ("stream=", "alpha=0.01, stream=", "rule rmse.alpha: golden 0.001, now 0.01*"),
            ("stream=", "test='permutation', stream=", "rule rmse.test: golden 't', now 'permutation'*"),
            ("stream=", "better='lower', stream=", "rule rmse.better: golden 'neither', now 'lower'*"),
        ],
    )
    def test_a_changed_rule_fails_until_it_is_recorded(self, run, write, before: str, now: str, says: str) -> None:
        """It would otherwise be believed and have no effect."""
        write(trained())
        assert pytest.ExitCode.OK == run(*UPDATE).ret
        write(trained().replace(before, now))
        failed = run()
        assert pytest.ExitCode.TESTS_FAILED == failed.ret
        failed.stdout.fnmatch_lines([f"*{says}"])

    def test_a_guard_that_the_golden_does_not_have_fails(self, run, write) -> None:
        """A guard that is only written down guards nothing."""
        write(trained().replace('guards={"rmse": BUG}, ', ""))
        assert pytest.ExitCode.OK == run(*UPDATE).ret
        write(trained())
        assert pytest.ExitCode.TESTS_FAILED == run().ret

    def test_another_tolerance_fails(self, run, write) -> None:
        """A tolerance that was tightened in the test alone would tighten nothing."""
        text = "def test_a(golden):\n    golden.close({{'x': 1.0}}, rel={})\n"
        write(text.format("1e-3"))
        assert pytest.ExitCode.OK == run(*UPDATE).ret
        write(text.format("1e-6"))
        failed = run()
        assert pytest.ExitCode.TESTS_FAILED == failed.ret
        failed.stdout.fnmatch_lines(["*rule x.rel: golden 0.001, now 1e-06; a rule changes by an update*"])

    @pytest.mark.parametrize("rel", ["-1", "5.", "'5%'", "float('nan')"])
    def test_a_tolerance_that_is_none_is_refused(self, run, write, rel: str) -> None:
        """A relative tolerance of 1 or more lets zero pass for anything."""
        write(f"def test_a(golden):\n    golden.close({{'x': 1.0}}, rel={rel})\n")
        result = run(*UPDATE)
        assert pytest.ExitCode.TESTS_FAILED == result.ret
        result.stdout.fnmatch_lines(["*rel is *; give a relative tolerance*"])

    def test_what_no_golden_holds_is_named_by_its_key(self, run, write) -> None:
        """The key of the entry is in the text."""
        write("def test_a(golden):\n    golden.exact({'mine': {1, 2}})\n")
        result = run(*UPDATE)
        result.stdout.fnmatch_lines(["*'mine' is a set, which no golden holds*"])


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

    def test_a_conftest_counts(self, run, write) -> None:
        """Fixtures are code of the test, in its own folder and in those above."""
        write("SCALE = 1.0\n", "conftest.py")
        write("", "below/conftest.py")
        write(trained(), "below/test_it.py")
        assert pytest.ExitCode.OK == run(*UPDATE).ret
        write("SCALE = 2.0  # another\n", "conftest.py")
        write(trained(scale=1.5), "below/test_it.py")
        run().stdout.fnmatch_lines(["code changed: below/test_it.py, conftest.py"])

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
