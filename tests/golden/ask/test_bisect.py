"""The verdict on a commit, and where a bisection does not end at one."""

from __future__ import annotations

import pytest

from goldmark.golden._ask.bisect import _judged_metric
from goldmark.golden._ask.trees import TrainedRun
from goldmark.golden._record.entry import statistical_entry

ENTRY = statistical_entry({str(seed): 1.0 + seed for seed in range(8)}, scale="identity", margin=0.1)
SEVERAL = (0.3, -0.3, 0.2, -0.2, 0.1, -0.1, 0.25, -0.25)  # of an innocent change that is larger than the margin


def runs(*shifts, error=None):
    """Eight runs, moved by so much each."""
    return [
        TrainedRun(variant="fitted", seed=seed, metrics={"loss": 1.0 + seed + shift}, error=error)
        for seed, shift in enumerate(shifts * 8 if len(shifts) == 1 else shifts)
    ]


@pytest.mark.parametrize(
    ("moved", "state", "says"),
    [
        (runs(0.0), "good", "loss comes again in every seed"),
        (runs(*(shift / 100 for shift in SEVERAL)), "good", "loss moved by "),
        (runs(*SEVERAL), "undecided", " seeds would decide"),
        (runs(*(1 + shift / 10 for shift in SEVERAL)), "bad", "margin 0.1)"),
        (runs(float("nan")), "bad", "seed 0: loss is nan"),
        (runs(0.0, error="diverged: loss is inf"), "bad", "seed 0: diverged: loss is inf"),
    ],
)
def test_a_metric_is_judged_by_the_margin_of_its_golden(moved, state, says):
    """Bad beyond it, good where all of the interval lies within, else undecided; a seed that diverged is bad."""
    judged, line = _judged_metric("loss", ENTRY, moved, runs(0.0))
    assert (state, True) == (judged, says in line), line


@pytest.mark.slow
def test_what_cannot_be_bisected_is_wrong_use(tell, goldmark):
    """Exit status 2: revisions that git does not know, a bad commit that is as good as the good one."""
    story = tell()
    for ends, says in ((("nope", "HEAD"), "no revision 'nope'"), (("HEAD", "gone"), "no revision 'gone'")):
        done = goldmark("bisect", *ends, "fit/default")
        assert (2, True) == (done.exit_code, says in done.output), done.output
    done = goldmark("bisect", "HEAD", "HEAD", "fit/slow")
    assert (2, True) == (done.exit_code, "there is no golden 'fit/slow'" in done.output), done.output
    story.commit("Say more", ('"""Fit a line."""', '"""Fit a line by gradient descent."""'))
    done = goldmark("bisect", "HEAD~1", "HEAD", "fit/default", "--seeds", "5", "--jobs", "1")
    assert (2, True) == (done.exit_code, "the bad commit is not bad" in done.output), done.output
    assert "good: val_rmse comes again in every seed" in done.output


@pytest.mark.slow
def test_only_skipped_commits_are_told_as_such(tell, goldmark):
    """Two commits that do not run lie before the fault: exit status 3, and the three that it may be."""
    story = tell()
    good = story.git("rev-parse", "HEAD")
    story.commit("Break it", ("import random", "import random as rng"))
    story.commit("Say more", ('"""Fit a line."""', '"""Fit a line by gradient descent."""'))
    story.commit("Mend it", ("import random as rng", "import random"), ("rate=0.05", "rate=0.005"))
    before = story.state()
    done = goldmark("bisect", good, "HEAD", "fit/default", "--jobs", "1", "--seeds", "5")
    assert 3 == done.exit_code, done.output
    assert 2 == done.output.count("does not run: seed 0: NameError: name 'random' is not defined"), done.output
    last = [line.strip().partition(" ")[2] for line in done.output.splitlines()[-3:]]
    assert {"(Break it)", "(Say more)", "(Mend it)"} == set(last)
    assert before == story.state()


@pytest.mark.slow
def test_a_good_commit_that_fails_is_wrong_use(tell, goldmark):
    """One of its seeds came to nothing, so that nobody can be held to it."""
    story = tell()
    story.commit("Diverge", ("rate=0.05", "rate=5e200"))
    done = goldmark("bisect", "HEAD", "HEAD~1", "fit/default", "--jobs", "1", "--seeds", "5")
    assert 2 == done.exit_code
    assert "(Diverge) is not good: seed 0: diverged: val_rmse is nan; name another one" in done.output
