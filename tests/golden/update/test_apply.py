"""Updates of goldens: what they write, what they say, and what they refuse."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from goldmark.case import UsageError
from goldmark.golden._compare.messages import nothing_changed
from goldmark.golden._files import transaction
from goldmark.golden._files.entries import BadGolden, Close, Result
from goldmark.golden._files.folder import find_golden, golden_names
from goldmark.golden._files.transaction import replace_files
from goldmark.golden._record.entry import statistical_entry
from goldmark.golden._update import apply
from goldmark.golden._update.apply import apply_update, prune


def result(name: str, generation: int = 0) -> Result:
    """A result whose every entry tells its generation."""
    return Result(name=name, exact={"generation": generation}, close={"trace": Close([float(generation)] * 5)})


def trained(values: list[float], guard: list[float] | None = None, margin: float = 0.01) -> Result:
    """A result with one metric, guarded or not."""

    def by_seed(numbers: list[float]) -> dict[str, float]:
        return {str(seed): number for seed, number in enumerate(numbers)}

    entry = statistical_entry(
        by_seed(values),
        scale="identity",
        margin=margin,
        guard=None if guard is None else "the bug",
        guard_values=None if guard is None else by_seed(guard),
        paired=False,
    )
    return Result(name="trained", statistical={"rmse": entry})


ORIGIN = {"fingerprint": {"cpu": "one"}}
VALUES = [1.0, 1.01, 0.99, 1.02, 0.98, 1.0]
BUG = [3.0, 3.1, 2.9, 3.05, 2.95, 3.0]


class TestWriting:
    """What an update writes and says."""

    def test_records_results_with_reason_commit_and_versions(self, tmp_path: Path) -> None:
        """A new golden carries who wrote it, when and from what."""
        new = replace(
            result("a/b"), versions={"torch": "2.13.0"}, fingerprint={"python": "3.11"}, sources={"a.py": "00"}
        )
        review = apply_update(tmp_path, {"a/b": new}, "first", commit="abc")
        golden = find_golden(tmp_path, "a/b")
        assert golden is not None
        (provenance,) = golden.provenance
        assert ("first", "abc", "2.13.0") == (provenance.reason, provenance.commit, provenance.versions["torch"])
        assert ({"python": "3.11"}, {"a.py": "00"}) == (provenance.fingerprint, provenance.sources)
        assert (("a/b",), ()) == (review.written, review.unchanged)

    def test_appends_provenance_and_shows_old_new_and_change(self, tmp_path: Path) -> None:
        """A second update keeps the first's provenance, and its table says what moved."""
        apply_update(tmp_path, {"a": result("a", 1)}, "first", commit="abc")
        review = apply_update(tmp_path, {"a": result("a", 2)}, "second | half", commit="def")
        golden = find_golden(tmp_path, "a")
        assert golden is not None
        assert ["first", "second | half"] == [entry.reason for entry in golden.provenance]
        assert [("generation", "1", "2", "+100.00%")] == [
            (row.entry, row.old, row.new, row.change) for row in review.rows if row.entry == "generation"
        ]
        assert ["abc", "def"] == [entry.commit for entry in golden.provenance]

    def test_keeps_the_last_few_entries_of_provenance(self, tmp_path: Path) -> None:
        """The earlier ones are in the history of the file."""
        for generation, reason in enumerate(("first", "second", "third", "fourth")):
            apply_update(tmp_path, {"a": result("a", generation)}, reason)
        golden = find_golden(tmp_path, "a")
        assert golden is not None
        assert ["second", "third", "fourth"] == [entry.reason for entry in golden.provenance]

    def test_leaves_results_that_equal_their_golden_alone(self, tmp_path: Path) -> None:
        """An update that changes nothing writes nothing: not even the same file again."""
        apply_update(tmp_path, {"a": result("a")}, "first")
        before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
        review = apply_update(tmp_path, {"a": result("a")}, "again")
        assert ((), ("a",)) == (review.written, review.unchanged)
        assert before == {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}

    def test_leaves_a_golden_whose_numbers_moved_by_rounding_alone(self, tmp_path: Path) -> None:
        """Another CPU's last digits rewrite nothing and are counted; more than that, or a new rule, is written."""

        def scaled(factor: float, **rule: float) -> dict[str, Result]:
            metrics = trained([value * factor for value in VALUES], BUG, **rule).statistical
            traces = {"trace": Close([factor], rel=1e-3), "fine": Close([1 + (factor - 1) / 1e4])}
            return {"a": Result(name="a", close=traces, statistical=metrics), "b": result("b")}

        apply_update(tmp_path, scaled(1.0), "first")
        before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
        review = apply_update(tmp_path, scaled(1 + 5e-7), "another machine")
        assert ((), ("a", "b"), ("a",)) == (review.written, review.unchanged, review.rounded)
        assert "0 written, 2 unchanged (1 but for rounding)" == review.counts()
        assert before == {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
        assert ("a",) == apply_update(tmp_path, scaled(1 + 2e-6), "another number").written
        fine = replace(scaled(1 + 2e-6)["a"], close={"trace": Close([1 + 2e-6], rel=1e-3), "fine": Close([1 + 2e-9])})
        assert ("a",) == apply_update(tmp_path, {"a": fine}, "beyond its own tolerance").written
        rule = replace(scaled(1 + 2e-6, margin=0.01 * (1 - 1e-6))["a"], close=fine.close)
        assert ("a",) == apply_update(tmp_path, {"a": rule}, "another rule").written

    def test_notes_the_code_from_which_values_came_again(self, tmp_path: Path, monkeypatch) -> None:
        """They must repeat again for as long as it stays; date, reason and values stay, and all is one transaction."""
        first = replace(trained(VALUES, BUG), sources={"a.py": "00"}, versions={"torch": "2.12"}, **ORIGIN)
        apply_update(tmp_path, {"trained": first, "other": result("other")}, "first", commit="abc")
        golden, transactions = find_golden(tmp_path, "trained"), []
        monkeypatch.setattr(apply, "replace_files", lambda *files: transactions.append(replace_files(*files)))
        edited = replace(trained([value * (1 + 5e-7) for value in VALUES], BUG), sources={"a.py": "11"}, **ORIGIN)
        edited = replace(edited, versions={"torch": "2.13"})
        review = apply_update(tmp_path, {"trained": edited, "other": result("other", 2)}, "second", commit="def")
        assert (("other",), ("trained",), ("trained",)) == (review.written, review.unchanged, review.confirmed)
        counts = "1 written, 1 unchanged (1 but for rounding), 1 of these confirmed as they are: sources noted"
        assert (counts, 1, {"other"}) == (review.counts(), len(transactions), {row.golden for row in review.rows})
        noted = find_golden(tmp_path, "trained")
        assert [False, True] == [nothing_changed(which, edited) for which in (golden, noted)]
        (last,) = golden.provenance
        seen_from = {"commit": "def", "sources": edited.sources, "versions": edited.versions}
        assert noted == replace(golden, provenance=(replace(last, **seen_from),))

    def test_notes_nothing_where_the_code_is_the_same(self, tmp_path: Path) -> None:
        """Neither a second time, nor on another machine or commit, nor of a result that does not say what made it."""
        first = replace(trained(VALUES), sources={"a.py": "00"}, versions={"torch": "2.12"}, **ORIGIN)
        elsewhere = replace(first, fingerprint={"cpu": "another"}, versions={**first.versions, "more": "1"})
        apply_update(tmp_path, {"trained": first}, "first", commit="abc")
        before = (tmp_path / "trained.json").read_bytes()
        for again in (first, elsewhere, trained(VALUES)):
            assert () == apply_update(tmp_path, {"trained": again}, "again", commit="def").confirmed
        assert before == (tmp_path / "trained.json").read_bytes()

    def test_notes_nothing_where_nothing_was_seen_to_repeat(self, tmp_path: Path) -> None:
        """Exact and close numbers hold whatever the code is, and branches that edit it do not meet in their files."""
        rmse = trained(VALUES).statistical["rmse"]
        untried = replace(trained(VALUES), statistical={"rmse": replace(rmse, repeats=None)})
        for first in (result("trained"), untried):
            apply_update(tmp_path, {"trained": replace(first, sources={"a.py": "00"}, **ORIGIN)}, "first", weaken=True)
            edited = replace(first, sources={"a.py": "11"}, **ORIGIN)
            assert () == apply_update(tmp_path, {"trained": edited}, "again").confirmed

    @pytest.mark.parametrize("which", ["guard_values", "first_values"])
    def test_writes_what_a_guard_or_a_frozen_model_scores_now(self, tmp_path: Path, which: str) -> None:
        """They are numbers of a golden too: the bug that it must see may have moved while its own values did not."""
        metric = trained(VALUES, BUG).statistical["rmse"]
        first = replace(metric, first_values=metric.guard_values)
        apply_update(tmp_path, {"trained": Result(name="trained", statistical={"rmse": first})}, "first")
        moved = replace(first, **{which: {**first.guard_values, "0": 3.01}})
        written = apply_update(
            tmp_path, {"trained": Result(name="trained", statistical={"rmse": moved})}, "second"
        ).written
        assert ("trained",) == written

    def test_rewrites_a_golden_that_states_wrongly_what_it_can_see(self, tmp_path: Path) -> None:
        """Where the formula of the detectable effect has changed, equal values are no reason to keep the old one."""
        entry = trained(VALUES, BUG).statistical["rmse"]
        stale = Result(name="trained", statistical={"rmse": replace(entry, detectable=entry.detectable * 1.01)})
        apply_update(tmp_path, {"trained": stale}, "first")
        review = apply_update(tmp_path, {"trained": trained(VALUES, BUG)}, "another formula")
        assert ("trained",) == review.written
        assert entry == find_golden(tmp_path, "trained").statistical["rmse"]

    def test_takes_the_commit_from_git(self, tmp_path: Path) -> None:
        """Inside a repository the commit is the one that is checked out; outside there is none."""
        apply_update(tmp_path, {"a": result("a")}, "outside")
        git = ["git", "-c", "user.name=x", "-c", "user.email=x@example.org", "-C", str(tmp_path)]
        subprocess.run([*git, "init", "-q"], check=True)
        subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "x"], check=True)
        head = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()
        apply_update(tmp_path, {"a": result("a", 2)}, "inside")
        golden = find_golden(tmp_path, "a")
        assert golden is not None
        assert [None, head] == [entry.commit for entry in golden.provenance]
        status = subprocess.run([*git, "status", "--short", "-uall"], check=True, capture_output=True, text=True).stdout
        assert ["?? a.json"] == status.splitlines()  # nothing is shared, and the update's own folder ignores itself


class TestRefusing:
    """What an update refuses, and that nothing is written then."""

    def test_refuses_without_a_reason(self, tmp_path: Path) -> None:
        """No reason, no update; the message says how."""
        with pytest.raises(UsageError, match="nothing written.*--golden-reason"):
            apply_update(tmp_path / "golden", {"a": result("a")}, "  ")
        assert not (tmp_path / "golden").exists()

    def test_refuses_a_golden_that_cannot_see_its_bug_and_all_with_it(self, tmp_path: Path) -> None:
        """One golden that would let its bug pass keeps every other from being written."""
        blind = trained(VALUES, guard=[value + 0.001 for value in VALUES])
        with pytest.raises(UsageError, match=r"trained: rmse: this golden cannot see its bug"):
            apply_update(tmp_path, {"a": result("a"), "trained": blind}, "why")
        assert [] == golden_names(tmp_path)

    def test_refuses_a_golden_that_lets_a_frozen_model_pass(self, tmp_path: Path) -> None:
        """What the comparator's self-test would find later is found before anything is written."""
        sound = trained(VALUES, BUG)
        frozen = replace(sound.statistical["rmse"], first_values=sound.statistical["rmse"].values)
        with pytest.raises(UsageError, match=r"(?s)must not be recorded.*trained: rmse: a frozen model passes"):
            apply_update(tmp_path, {"trained": replace(sound, statistical={"rmse": frozen})}, "why")
        assert [] == golden_names(tmp_path)

    def test_refuses_weakening_unless_it_is_said(self, tmp_path: Path) -> None:
        """A wider margin is refused with the reason; with `weaken` it is written."""
        apply_update(tmp_path, {"trained": trained(VALUES, BUG)}, "first")
        wider = trained(VALUES, BUG, margin=0.2)
        says = r"(?s)weakens.*--weaken.*trained: rmse: the margin grows from 0.01 to 0.2"
        with pytest.raises(UsageError, match=says):
            apply_update(tmp_path, {"trained": wider}, "why")
        assert ("trained",) == apply_update(tmp_path, {"trained": wider}, "why", weaken=True).written

    @pytest.mark.parametrize("weaken", [False, True])
    def test_never_overwrites_a_file_it_cannot_read(self, tmp_path: Path, weaken: bool) -> None:
        """A damaged golden is named and left as it is: nobody could say what its replacement weakens."""
        apply_update(tmp_path, {"a": result("a")}, "first")
        (tmp_path / "a.json").write_text("{")
        with pytest.raises(BadGolden, match="a.json"):
            apply_update(tmp_path, {"a": result("a", 2)}, "why", weaken=weaken)
        assert "{" == (tmp_path / "a.json").read_text()


def test_a_refused_first_update_leaves_nothing_that_git_sees(tmp_path: Path) -> None:
    """The folder with the lock ignores itself from the start."""
    with pytest.raises(UsageError, match="nothing written"):
        apply_update(tmp_path / "golden", {"trained": trained([1.0])}, "why")
    assert "*\n" == (tmp_path / "golden" / transaction.STAGING / ".gitignore").read_text()


class TestPruning:
    """Deleting goldens that nothing uses."""

    def test_deletes_what_is_named_and_nothing_else(self, tmp_path: Path) -> None:
        """The other goldens stay, as do files that are no goldens at all; what is gone already is not named."""
        apply_update(tmp_path, {name: result(name) for name in ("a", "b/c", "b/d")}, "first")
        (tmp_path / "README.md").write_text("mine")
        assert ["a", "b/c"] == prune(tmp_path, ["b/c", "a", "gone"])
        assert ["b/d"] == golden_names(tmp_path)
        assert (tmp_path / "README.md").exists()

    def test_deletes_nothing_where_a_file_is_not_a_golden(self, tmp_path: Path) -> None:
        """A JSON file of somebody else's stops the pruning before it starts."""
        apply_update(tmp_path, {"a": result("a")}, "first")
        (tmp_path / "z.json").write_text('{"mine": 1}')
        with pytest.raises(BadGolden, match="z.json"):
            prune(tmp_path, ["a", "z"])
        assert ["a", "z"] == golden_names(tmp_path)
