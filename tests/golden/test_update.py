"""Updates of goldens: refused, or written all or none, whatever happens to the process."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from unittest.mock import Mock

import pytest

from goldmark.case import UsageError
from goldmark.golden import transaction
from goldmark.golden.record import golden_from, statistical_entry
from goldmark.golden.seals import SEALS, listed_seals
from goldmark.golden.snapshot import as_result
from goldmark.golden.store import BadGolden, Close, Result, read, to_bytes
from goldmark.golden.update import LOG, apply_update, find_golden, golden_names, prune

GOLDENS = 8  # two sub-folders, several files each
REPOSITORY = Path(__file__).parents[2] / "golden"


def result(name: str, generation: int = 0) -> Result:
    """A result whose every entry tells its generation."""
    return Result(name, exact={"generation": generation}, close={"trace": Close([float(generation)] * 5)})


def generation_of(folder: Path) -> dict[str, int]:
    """The generation of every golden, read as any reader reads them."""
    found = {}
    for name in golden_names(folder):
        golden = find_golden(folder, name)
        assert golden is not None
        assert golden.close["trace"].value == [float(golden.exact["generation"])] * 5
        found[name] = golden.exact["generation"]
    return found


def many(generation: int) -> dict[str, Result]:
    """Results for two sub-folders."""
    names = [f"case{i % 2}/variant{i}" for i in range(GOLDENS)]
    return {name: result(name, generation) for name in names}


def real(generation: int) -> dict[str, Result]:
    """Results as large as this repository's own goldens: theirs, each entry kept and a generation added."""
    found = {}
    for name in golden_names(REPOSITORY):
        golden = find_golden(REPOSITORY, name)
        assert golden is not None
        tells = result(name, generation)
        found[name] = replace(
            as_result(golden), exact={**golden.exact, **tells.exact}, close={**golden.close, **tells.close}
        )
    return found


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
        same_stream=False,
    )
    return Result("trained", statistical={"rmse": entry})


VALUES = [1.0, 1.01, 0.99, 1.02, 0.98, 1.0]
BUG = [3.0, 3.1, 2.9, 3.05, 2.95, 3.0]


class TestWriting:
    """What an update writes and says."""

    def test_records_results_with_reason_commit_and_versions(self, tmp_path: Path) -> None:
        """A new golden carries who wrote it, when and from what."""
        found = replace(result("a/b"), fingerprint={"python": "3.11", "torch": "2.13.0"}, sources={"a.py": "00"})
        review = apply_update(tmp_path, {"a/b": found}, "first", commit="abc")
        golden = find_golden(tmp_path, "a/b")
        assert golden is not None
        (said,) = golden.provenance
        assert ("first", "abc", "2.13.0") == (said.reason, said.commit, said.versions["torch"])
        assert ({"python": "3.11", "torch": "2.13.0"}, {"a.py": "00"}) == (said.fingerprint, said.sources)
        assert (("a/b",), ()) == (review.written, review.unchanged)

    def test_appends_provenance_and_shows_old_new_and_change(self, tmp_path: Path) -> None:
        """A second update keeps the first's provenance; the table on the terminal and in UPDATES.md says what moved."""
        apply_update(tmp_path, {"a": result("a", 1)}, "first", commit="abc")
        review = apply_update(tmp_path, {"a": result("a", 2)}, "second | half", commit="def")
        golden = find_golden(tmp_path, "a")
        assert golden is not None
        assert ["first", "second | half"] == [said.reason for said in golden.provenance]
        assert [("generation", "1", "2", "+100.00%")] == [
            (row.entry, row.old, row.new, row.change) for row in review.rows if row.entry == "generation"
        ]
        log = (tmp_path / LOG).read_text()
        assert log.index(": second | half") < log.index(": first")
        assert "| a | generation | 1 | 2 | +100.00% |" in log
        assert "After commit def" in log

    def test_leaves_results_that_equal_their_golden_alone(self, tmp_path: Path) -> None:
        """An update that changes nothing writes nothing: neither the file nor the log."""
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
            return {"a": Result("a", close=traces, statistical=metrics), "b": result("b")}

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

    @pytest.mark.parametrize("which", ["guard_values", "first_values"])
    def test_writes_what_a_guard_or_a_frozen_model_scores_now(self, tmp_path: Path, which: str) -> None:
        """They are numbers of a golden too: the bug that it must see may have moved while its own values did not."""
        found = trained(VALUES, BUG).statistical["rmse"]
        first = replace(found, first_values=found.guard_values)
        apply_update(tmp_path, {"trained": Result("trained", statistical={"rmse": first})}, "first")
        moved = replace(first, **{which: {**first.guard_values, "0": 3.01}})
        written = apply_update(tmp_path, {"trained": Result("trained", statistical={"rmse": moved})}, "second").written
        assert ("trained",) == written

    def test_rewrites_a_golden_that_states_wrongly_what_it_can_see(self, tmp_path: Path) -> None:
        """Where the formula of the detectable effect has changed, equal values are no reason to keep the old one."""
        entry = trained(VALUES, BUG).statistical["rmse"]
        stale = Result("trained", statistical={"rmse": replace(entry, detectable=entry.detectable * 1.01)})
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
        assert [None, head] == [said.commit for said in golden.provenance]
        status = subprocess.run([*git, "status", "--short", "-uall"], check=True, capture_output=True, text=True).stdout
        assert [
            "?? SEALS",
            "?? UPDATES.md",
            "?? a.json",
        ] == status.splitlines()  # the update's own folder ignores itself


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
        assert not (tmp_path / LOG).exists()

    def test_refuses_a_golden_that_lets_a_frozen_model_pass(self, tmp_path: Path) -> None:
        """What the comparator's self-test would find later is found before anything is written."""
        found = trained(VALUES, BUG)
        frozen = replace(found.statistical["rmse"], first_values=found.statistical["rmse"].values)
        with pytest.raises(UsageError, match=r"(?s)must not be recorded.*trained: rmse: a frozen model passes"):
            apply_update(tmp_path, {"trained": replace(found, statistical={"rmse": frozen})}, "why")
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


class TestSeals:
    """Goldens that were edited and sealed again by hand, on whatever machine."""

    @staticmethod
    def reseal(folder: Path, name: str, **changes: object) -> None:
        """Write a golden as an update would, without telling the list."""
        path = folder / f"{name}.json"
        path.write_bytes(to_bytes(replace(read(path), **changes)))

    def test_a_resealed_edit_is_seen_by_every_reader_and_never_overwritten(self, tmp_path: Path) -> None:
        """One unguarded value, all that follows from it put right: nothing but the list of seals can know."""
        apply_update(tmp_path, {"trained": trained(VALUES), "other": result("other")}, "first")
        self.reseal(tmp_path, "trained", statistical=trained([1.1, *VALUES[1:]]).statistical)
        edited = (tmp_path / "trained.json").read_bytes()
        says = r"trained.json is not what the last update wrote: its seal is not the one in .*SEALS"
        with pytest.raises(BadGolden, match=says):
            find_golden(tmp_path, "trained")
        with pytest.raises(BadGolden, match=says):
            apply_update(tmp_path, {"trained": trained(VALUES)}, "why", weaken=True)
        assert edited == (tmp_path / "trained.json").read_bytes()
        assert find_golden(tmp_path, "other") is not None

    def test_a_reader_that_an_update_overtakes_reads_again(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """An update may begin after the reader has looked for one, and move the golden before the list of seals."""
        apply_update(tmp_path, {"a": result("a", 1)}, "first")
        old = (tmp_path / SEALS).read_bytes()
        apply_update(tmp_path, {"a": result("a", 2)}, "second")
        transaction.stage(tmp_path, {SEALS: (tmp_path / SEALS).read_bytes()})
        (tmp_path / transaction.STAGING / "commit").write_text(json.dumps({"0": SEALS}))
        (tmp_path / SEALS).write_bytes(old)
        looks = iter([lambda folder: None, transaction.recover])
        monkeypatch.setattr("goldmark.golden.folder.recover", lambda folder: next(looks)(folder))
        golden = find_golden(tmp_path, "a")
        assert golden is not None
        assert 2 == golden.exact["generation"]

    def test_a_file_that_no_update_wrote_is_seen(self, tmp_path: Path) -> None:
        """A golden made by hand is not in the list; deleted and recorded, it is."""
        apply_update(tmp_path, {"a": result("a")}, "first")
        (tmp_path / "b.json").write_bytes(to_bytes(golden_from(result("b"), read(tmp_path / "a.json").provenance)))
        with pytest.raises(BadGolden, match="b.json is not what the last update wrote"):
            find_golden(tmp_path, "b")
        (tmp_path / "b.json").unlink()
        apply_update(tmp_path, {"b": result("b")}, "second")
        assert find_golden(tmp_path, "b") is not None

    def test_the_list_names_every_golden_of_the_folder_and_no_other(self, tmp_path: Path) -> None:
        """It follows updates, pruning, and a folder from before there was a list, with files that are no goldens."""
        apply_update(tmp_path, {"a": result("a"), "c/b": result("c/b")}, "first")
        (tmp_path / SEALS).unlink()
        (tmp_path / "mine.json").write_text("{}")
        apply_update(tmp_path, {"d": result("d")}, "second")
        assert {name: read(tmp_path / f"{name}.json").seal for name in ("a", "c/b", "d")} == listed_seals(tmp_path)
        (tmp_path / "mine.json").unlink()
        prune(tmp_path, ["a", "d"])
        assert ["a", "d"] == list(listed_seals(tmp_path))

    @pytest.mark.parametrize("damage", ["<<<<<<< HEAD theirs", "12  a\n13  a", "12"])
    def test_a_damaged_list_is_named_with_the_way_out(self, tmp_path: Path, damage: str) -> None:
        """The marks of a merge, a name that comes twice, half a line."""
        apply_update(tmp_path, {"a": result("a")}, "first")
        (tmp_path / SEALS).write_text(damage)
        with pytest.raises(BadGolden, match=r"SEALS is not a list of seals.*git checkout -- .*SEALS"):
            find_golden(tmp_path, "a")


class TestPruning:
    """Deleting goldens that nothing uses."""

    def test_deletes_what_is_not_kept_and_nothing_else(self, tmp_path: Path) -> None:
        """The names to keep stay, as do files that are not goldens' at all."""
        apply_update(tmp_path, many(1), "first")
        kept = golden_names(tmp_path)[2:]
        assert golden_names(tmp_path)[:2] == prune(tmp_path, kept)
        assert kept == golden_names(tmp_path)
        assert (tmp_path / LOG).exists()

    def test_deletes_nothing_where_a_file_is_not_a_golden(self, tmp_path: Path) -> None:
        """A JSON file of somebody else's stops the pruning before it starts."""
        apply_update(tmp_path, {"a": result("a")}, "first")
        (tmp_path / "z.json").write_text('{"mine": 1}')
        with pytest.raises(BadGolden, match="z.json"):
            prune(tmp_path, [])
        assert ["a", "z"] == golden_names(tmp_path)


# A process for each folder updates it and dies at a touch of the disk; forks, because loading libraries takes longest.
DIES = """
import json, os, pathlib, shutil, signal, sys
import scipy.special
sys.path.insert(0, sys.argv[1])
from test_update import at_each_touch, real
from goldmark.golden.update import apply_update
results = real(2)

def update(folder, moment):
    touches = 0
    def touch():
        nonlocal touches
        touches += 1
        if touches == moment:
            os.kill(os.getpid(), signal.SIGKILL)
    at_each_touch(touch, setattr)
    apply_update(pathlib.Path(folder), results, "second", commit="def")

for job in json.load(sys.stdin):
    child = os.fork()
    if not child:
        update(*job)
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def at_each_touch(touch: Callable[[], None], replace_attribute: Callable[..., None]) -> None:
    """Let every function that touches the disk in an update call `touch` first."""

    def counted(call: Callable[..., object]) -> Callable[..., object]:
        def wrapper(*args: object, **kwargs: object) -> object:
            touch()
            return call(*args, **kwargs)

        return wrapper

    for owner, name in ((os, "fsync"), (os, "replace"), (os, "unlink"), (shutil, "rmtree")):
        replace_attribute(owner, name, counted(getattr(owner, name)))


def kill(folders: Sequence[Path], moments: Sequence[int]) -> list[int]:
    """Update each folder in a process that dies at a touch of the disk; return the exit codes."""
    command = [sys.executable, "-W", "ignore", "-c", DIES, str(Path(__file__).parent)]
    told = json.dumps([(str(folder), moment) for folder, moment in zip(folders, moments, strict=True)])
    done = subprocess.run(command, input=told, capture_output=True, text=True, check=True, timeout=120)
    return [int(code) for code in done.stdout.split()]


def touches_of_update(folder: Path, results: Mapping[str, Result]) -> int:
    """Update a folder and return how often that touched the disk."""
    touches: list[int] = []
    with pytest.MonkeyPatch.context() as patch:
        at_each_touch(lambda: touches.append(1), patch.setattr)
        apply_update(folder, results, "second", commit="def")
    assert len(touches) > 2 * len(results)  # at least a sync and a replacement for each
    return len(touches)


class TestInterruption:
    """All files or none, under SIGKILL, Ctrl-C and two processes at once."""

    def test_killed_at_ten_moments_leaves_one_generation(self, tmp_path: Path) -> None:
        """Wherever SIGKILL falls, the next reader finds every golden whole and all of one generation; both occur."""
        apply_update(tmp_path / "before", real(1), "first", commit="abc")
        last = touches_of_update(shutil.copytree(tmp_path / "before", tmp_path / "counting"), real(2))
        moments = [1 + round(i * (last - 1) / 9) for i in range(10)]
        folders = [Path(shutil.copytree(tmp_path / "before", tmp_path / str(moment))) for moment in moments]
        assert [-signal.SIGKILL] * 10 == kill(folders, moments)
        seen = []
        for folder in folders:
            generations = set(generation_of(folder).values())
            assert 1 == len(generations)
            assert golden_names(REPOSITORY) == golden_names(folder)
            assert ("second" in (folder / LOG).read_text()) == (generations == {2})  # the log goes with the goldens
            seen += generations
        assert sorted(seen) == seen  # once marked, always rolled forward
        assert {1, 2} == set(seen)

    def test_ctrl_c_leaves_one_generation_and_the_next_update_recovers_first(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """At every touch of the disk: the next update discards or finishes the interrupted one, and remembers it."""

        def few(generation: int) -> dict[str, Result]:
            return {name: result(name, generation) for name in ("a", "b/c")}

        apply_update(tmp_path / "before", few(1), "first", commit="abc")
        last = touches_of_update(shutil.copytree(tmp_path / "before", tmp_path / "counting"), few(2))
        reasons = []
        for moment in range(1, last + 1):
            folder = Path(shutil.copytree(tmp_path / "before", tmp_path / str(moment)))
            touch = Mock(side_effect=[*[None] * (moment - 1), KeyboardInterrupt, *[None] * last])
            with monkeypatch.context() as patch:
                at_each_touch(touch, patch.setattr)
                with pytest.raises(KeyboardInterrupt):
                    apply_update(folder, few(2), "second", commit="def")
            apply_update(folder, few(3), "third", commit="ghi")
            assert {3} == set(generation_of(folder).values())
            goldens = [find_golden(folder, name) for name in few(1)]
            (said,) = {tuple(said.reason for said in golden.provenance) for golden in goldens if golden is not None}
            reasons.append(said)
        assert sorted(reasons, key=len) == reasons  # once marked, always rolled forward
        assert {("first", "third"), ("first", "second", "third")} == set(reasons)

    def test_two_processes_at_once_write_one_after_the_other(self, tmp_path: Path) -> None:
        """Both updates succeed in turn: the goldens are of one generation and remember both."""
        apply_update(tmp_path, many(1), "first", commit="abc")
        program = (
            "import pathlib, sys; sys.path.insert(0, sys.argv[3]); from test_update import many\n"
            "from goldmark.golden.update import apply_update\n"
            "print('ready', flush=True); sys.stdin.readline()\n"
            "apply_update(pathlib.Path(sys.argv[1]), many(int(sys.argv[2])), sys.argv[2], commit='x')\n"
        )
        racers = [
            subprocess.Popen(
                [sys.executable, "-c", program, str(tmp_path), generation, str(Path(__file__).parent)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            for generation in ("2", "3")
        ]
        for racer in racers:
            assert racer.stdout is not None
            assert "ready\n" == racer.stdout.readline()
        for racer in racers:
            racer.communicate("go\n", timeout=60)
        assert [0, 0] == [racer.returncode for racer in racers]
        assert 1 == len(set(generation_of(tmp_path).values()))
        golden = find_golden(tmp_path, "case1/variant1")
        assert golden is not None
        assert ["2", "3", "first"] == sorted(said.reason for said in golden.provenance)

    def test_waits_for_the_lock_and_says_who_is_in_the_way(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """An update that does not get the lock writes nothing and names the lock."""
        monkeypatch.setattr(transaction, "_WAIT_S", 0.1)
        with transaction.locked(tmp_path), pytest.raises(UsageError, match="another process has held .*lock"):
            apply_update(tmp_path, many(1), "why")
        assert [] == golden_names(tmp_path)

    def test_a_marker_that_leads_out_of_the_folder_is_refused(self, tmp_path: Path) -> None:
        """A marker that somebody tampered with moves nothing."""
        staging = tmp_path / "golden" / transaction.STAGING
        (staging / "next").mkdir(parents=True)
        (staging / "next" / "0").write_text("x")
        (staging / "commit").write_text(json.dumps({"0": "../outside.json"}))
        with pytest.raises(UsageError, match="outside the folder"):
            find_golden(tmp_path / "golden", "a")
        assert not (tmp_path / "outside.json").exists()

    @pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root writes everywhere")
    def test_reading_needs_no_right_to_write(self, tmp_path: Path) -> None:
        """Goldens in a folder that may only be read are read."""
        apply_update(tmp_path, {"a": result("a")}, "first")
        tmp_path.chmod(0o500)
        assert find_golden(tmp_path, "a") is not None
