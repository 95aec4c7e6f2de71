"""What two sides of fresh runs say: in pairs with the golden's code, or against its stored values alone."""

from __future__ import annotations

import re
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from typing import ClassVar

import numpy as np
import pytest

from goldmark.case import UsageError, recipe_of
from goldmark.cases import case_at
from goldmark.cli import _golden_confirm
from goldmark.golden import Golden
from goldmark.golden._ask import behind
from goldmark.golden._ask import confirm as confirming
from goldmark.golden._ask.confirm import confirm, fresh_seeds
from goldmark.golden._ask.trees import DoesNotRunError, TrainedRun
from goldmark.golden._files.entries import Provenance
from goldmark.golden._files.format import to_bytes
from goldmark.golden._project import Project
from goldmark.golden._record.entry import statistical_entry

N = 20
EFFECT = 0.2  # of the guarded bug, in log: far less than what seeds differ in
SPREAD = 0.8  # of seeds, in log


def healthy(seed):
    """What a seed scores: the same on both sides."""
    return float(np.exp(SPREAD * np.random.default_rng(seed).normal()))


def noise(seed, sd):
    """What an innocent change moves a seed by: a factor near 1."""
    return float(np.exp(sd * np.random.default_rng(10_000 + seed).normal()))


def buggy(seed):
    """The guarded bug: each seed is worse by nearly the same."""
    return healthy(seed) * float(np.exp(EFFECT)) * noise(seed, 0.01)


GOLDEN = Golden(
    name="line/fitted",
    statistical={
        "error": statistical_entry(
            {str(seed): healthy(seed) for seed in range(N)},
            scale="log",
            margin=0.02,
            guard="broken",
            guard_values={str(seed): buggy(seed) for seed in range(N)},
            paired=True,
        )
    },
)


class Code:
    """A tree whose training is a function of the seed for each variant, or an error."""

    name = "1234567 (First)"
    devices: ClassVar = []  # that were asked for, of all trees

    def __init__(self, **variants):
        self.variants = variants

    def train(self, case, variants, seeds, *, device, jobs, on_run):
        """The runs of those variants, of this case alone."""
        assert "line" == case
        self.devices.append(device)
        runs = [self.run(variant, seed) for variant in variants for seed in seeds]
        for run in runs:
            on_run(run)
        return runs

    def run(self, variant, seed):
        """One run, with an error where the function raises one."""
        try:
            return TrainedRun(variant=variant, seed=seed, metrics={"error": self.variants[variant](seed)})
        except ZeroDivisionError as error:
            return TrainedRun(variant=variant, seed=seed, metrics={}, error=str(error))


@pytest.fixture
def trained(monkeypatch):
    """`trained(new, old)`: the code of now and of the golden trains so; old None: there is no git."""

    def trained(new, old, guard=buggy):
        @contextmanager
        def tree_of(repository, root, commit):
            yield Code(fitted=old)

        def origin(project, golden, against):
            if old is None:
                raise UsageError("'fitted.json' is not committed")
            return None, "1234567"

        monkeypatch.setattr(confirming, "tree_of", tree_of)
        monkeypatch.setattr(confirming, "_origin", origin)
        monkeypatch.setattr(confirming, "working_tree", lambda root: Code(fitted=new, broken=guard))

    return trained


@pytest.fixture
def confirmed(trained, tmp_path):
    """`confirmed(new, old)`: the one metric, where the code of now and of the golden trains so."""

    def confirmed(new, old=healthy, *, golden=GOLDEN, **asked):
        trained(new, old)
        project = Project(root=tmp_path, folder=tmp_path, budget=None, case_entries=())
        (metric,) = confirm(project, golden, **asked).metrics
        return metric

    return confirmed


def test_fresh_seeds_are_past_those_of_the_golden():
    """From 1000 on, or from further where the golden has such seeds; as many as it has, or as were asked for."""
    assert range(1000, 1000 + N) == fresh_seeds(GOLDEN)
    entry = GOLDEN.statistical["error"]
    far = replace(entry, values={str(seed): 1.0 + seed for seed in range(990, 1010)})
    assert range(1010, 1015) == fresh_seeds(replace(GOLDEN, statistical={"error": far}), 5)


def test_a_bug_that_seeds_drown_is_real_in_pairs(confirmed):
    """A fifth of an error whose seeds differ by a factor of two: in pairs it is seen, and told as the guarded bug.

    Against the stored values alone, as two groups, nothing would be seen: that is what pairs are for.
    """
    metric = confirmed(buggy)
    assert ("changed", True, True) == (metric.judgement, metric.shift.paired, metric.bug)
    low, high = metric.shift.interval
    assert low < EFFECT < high
    alone = confirmed(buggy, None)
    assert not alone.shift.alarm


def test_another_fault_is_not_taken_for_the_guarded_bug(confirmed):
    """Twice the effect of the bug: real, and told from its guard."""
    metric = confirmed(lambda seed: buggy(seed) * float(np.exp(EFFECT)))
    assert ("changed", False) == (metric.judgement, metric.bug)


def test_code_that_gives_every_value_again_is_not_there(confirmed):
    """Also up to rounding, and where the margin is nothing."""
    entry = replace(GOLDEN.statistical["error"], margin=0.0)
    strict = replace(GOLDEN, statistical={"error": entry})
    for golden in (GOLDEN, strict):
        metric = confirmed(lambda seed: healthy(seed) * (1 + 1e-9), golden=golden)
        assert ("equal", (0.0, 0.0)) == (metric.judgement, metric.shift.interval)


def test_an_interval_within_the_margin_is_not_there(confirmed):
    """An innocent change of half a percent a seed lies within 2 %, by all of its interval."""
    metric = confirmed(lambda seed: healthy(seed) * noise(seed, 0.005))
    assert "equal" == metric.judgement
    assert max(map(abs, metric.shift.interval)) <= 0.02


def test_undecided_names_the_seeds_that_decide(confirmed):
    """An innocent change of 6 % a seed: 20 seeds cannot tell, as many as are named can."""

    def changed(seed):
        return healthy(seed) * noise(seed, 0.06)

    metric = confirmed(changed)
    assert "undecided" == metric.judgement
    more = confirmed(changed, count=2 * metric.deciding_seeds)  # twice: the spread and the shift are estimates
    assert "equal" == more.judgement


def test_a_seed_that_fails_now_is_real(confirmed):
    """One that failed with the golden's code too says nothing, and is left out."""

    def fails(seed):
        return healthy(seed) / (seed != 1003)

    assert "seed 1003: float division by zero" == confirmed(fails).failed
    assert "changed" == confirmed(fails).judgement
    both = confirmed(fails, fails)
    assert ("equal", N - 1) == (both.judgement, both.shift.n)
    assert "seed 1001: error is nan" == confirmed(lambda seed: np.nan if seed == 1001 else healthy(seed)).failed
    assert "seed 1002: error is -1" == confirmed(lambda seed: -1.0 if seed == 1002 else healthy(seed)).failed


def test_without_git_the_distance_from_the_guard_tells(confirmed):
    """The variant has become its guard: as a group it drowns, its distance from the guard is gone. Alpha is halved."""
    metric = confirmed(buggy, None)
    assert ("changed", True, True) == (metric.judgement, metric.distance.alarm, metric.bug)
    assert "'fitted.json' is not committed" == metric.unpaired
    assert {GOLDEN.statistical["error"].alpha / 2} == {metric.shift.rule.alpha, metric.distance.rule.alpha}


def test_without_git_an_unchanged_variant_stays_undecided(confirmed):
    """A fault that moves variant and guard alike hides from the distance, so that this alone clears nobody."""
    metric = confirmed(healthy, None)
    assert ("equal", "undecided") == (metric.distance.judgement, metric.judgement)
    assert metric.deciding_seeds is None


def test_without_git_and_guard_the_group_has_all_of_alpha(confirmed):
    """A golden without a guard is compared as a group: a hundredfold error is seen."""
    entry = replace(GOLDEN.statistical["error"], guard=None, guard_values=None, effect=None)
    golden = replace(GOLDEN, statistical={"error": entry})
    metric = confirmed(lambda seed: 100 * healthy(seed), None, golden=golden)
    assert ("changed", None, False) == (metric.judgement, metric.distance, metric.bug)
    assert entry.alpha == metric.shift.rule.alpha


def test_old_code_that_does_not_run_is_as_no_old_code(confirmed):
    """The stored values stand for it, and the reason is told; a revision that somebody named must run."""

    def gone(seed):
        raise DoesNotRunError("the code of 1234567 (First) does not run, exit status 1:\n  Traceback\n  No numpy")

    metric = confirmed(buggy, gone)
    assert "the code of 1234567 (First) does not run, exit status 1: No numpy" == metric.unpaired
    assert "changed" == metric.judgement
    with pytest.raises(DoesNotRunError, match="exit status 1"):
        confirmed(buggy, gone, against="main")


ON_A_GPU = replace(
    GOLDEN,
    name="line/fitted@cuda",
    provenance=(Provenance(date="", reason="", commit=None, versions={}, fingerprint={"device": "cuda"}, sources={}),),
)


def test_a_golden_of_a_gpu_is_trained_on_one(confirmed, monkeypatch):
    """Both sides, and the variant that its name stands for."""
    monkeypatch.setattr(behind, "resolve_device", lambda device: device)
    Code.devices.clear()
    assert "equal" == confirmed(healthy, golden=ON_A_GPU).judgement
    assert ["cuda", "cuda"] == Code.devices


def test_a_golden_of_a_gpu_is_refused_where_there_is_none(tmp_path, monkeypatch, goldmark):
    """In a line, before anything is trained; a golden of no case and no test is refused as before."""
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    name = "test_it/test_loss@cuda"
    for command in (("golden", "confirm", name), ("bisect", "HEAD", "HEAD", name)):
        for recorded_by, says in (
            ("test_it.py::test_loss", "was trained on a GPU, and device 'cuda' is not there: torch sees no CUDA GPU"),
            (None, "has no cases"),
        ):
            golden = replace(ON_A_GPU, name=name, recorded_by=recorded_by)
            path = tmp_path / "golden" / f"{name}.json"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(to_bytes(golden))
            done = goldmark(*command)
            assert (2, True, 1) == (done.exit_code, says in done.output, done.output.count("\n")), done.output


def test_a_golden_that_gates_on_nothing_is_refused(confirmed):
    """It raises no alarm that could be confirmed."""
    shown = replace(GOLDEN.statistical["error"], margin=None)
    with pytest.raises(UsageError, match="has no metric with a margin"):
        confirmed(healthy, golden=replace(GOLDEN, statistical={"error": shown}))


def no_value(seed):
    """A training that fails."""
    raise ZeroDivisionError("out of memory")


@pytest.mark.parametrize(
    ("new", "old", "status", "says"),
    [
        (
            buggy,
            healthy,
            1,
            r"REAL: 2\d.*%.* \(99 %\), margin 2.02 %, p .*, 20 seeds; not told from 'broken' \(p .*, n 20\)",
        ),
        (lambda seed: 3 * healthy(seed), healthy, 1, r"REAL: 200 %, .*; not 'broken' \(p .*, n 20\)"),
        (no_value, healthy, 1, r"REAL: seed 1000: out of memory$"),
        (healthy, healthy, 0, r"not there: every seed comes again$"),
        (lambda seed: healthy(seed) * noise(seed, 0.005), healthy, 0, r"not there: a shift of .* \(99 %\) lies within"),
        (lambda seed: healthy(seed) * noise(seed, 0.06), healthy, 3, r"undecided: .*; about (\d+) .*: --seeds \1$"),
        (
            buggy,
            None,
            1,
            r"REAL: its distance from 'broken' moved by .*not told from .*; not paired: 'fitted.json' is not",
        ),
        (
            healthy,
            None,
            3,
            r"undecided: .*; no number of seeds would decide; not paired: 'fitted.json' is not committed$",
        ),
        (
            no_value,
            no_value,
            3,
            r"undecided: fewer than two seeds came to a value; not paired: the seeds of .* came to nothing$",
        ),
    ],
)
def test_the_command_says_what_it_is_and_exits_so(trained, monkeypatch, tmp_path, goldmark, new, old, status, says):
    """1: real. 0: not there. 3: undecided, with the seeds that would decide."""
    trained(new, old)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(_golden_confirm, "need_golden", lambda project, name: GOLDEN)
    monkeypatch.setattr(_golden_confirm, "nodeid_behind", lambda project, golden: None)
    done = goldmark("golden", "confirm", "line/fitted")
    against = "its stored values" if old is None else "1234567 (First)"
    assert f"line/fitted on the fresh seeds 1000 ... 1019: the working tree against {against}:" in done.output
    assert status == done.exit_code, done.output
    assert re.search(f"^  error: {says}", done.output, re.MULTILINE), done.output


@pytest.mark.parametrize(("scale", "refused"), [("full", True), ("fast", False)])
def test_a_golden_of_a_full_matrix_is_not_tried_at_small_settings(tmp_path, scale, refused):
    """A variant of that name is in the project's case as well, and says nothing of the other."""
    recipe = recipe_of(case_at("expansion", scale).settings_of("plain_sum"))
    golden = Golden(name="expansion/plain_sum@cuda", exact={"recipe": recipe})
    project = Project(root=tmp_path, folder=tmp_path, budget=None, case_entries=("goldmark.cases.expansion:CASE",))
    with pytest.raises(UsageError, match="goldmark matrix expansion --only") if refused else nullcontext():
        assert behind.nodeid_behind(project, golden) is None
