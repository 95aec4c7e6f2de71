"""Who trains which seed: each once, whoever asks, in no more processes than there are cores."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace

import pytest

from goldmark._session import use
from goldmark.case import UsageError, area_under
from goldmark.experiments import _obtain, obtain
from goldmark.runs import lock_now, n_cores, store_path

ONE, TWO, THREE = "one", "two", "three"  # sessions
CHILD = """
import sys
from pathlib import Path
from goldmark._session import Session
from goldmark.experiments import obtain
from {module} import digits

if __name__ == "__main__":
    session = Session(root=Path({root!r}), folder=Path({root!r}) / ".goldmark", jobs={jobs}, token={token!r})
    print("ready", flush=True)
    sys.stdin.readline()
    obtained = obtain(digits, [{variant!r}], range({n}), session=session)
    print(*(run.metrics["x"] for run in obtained.runs), obtained.trained.total(), flush=True)
"""


@pytest.fixture
def child(project) -> Iterator[Callable[..., subprocess.Popen]]:
    """`child(variant, ...)`: a process that obtains runs once it is told to; it ends with the test."""
    with ExitStack() as stack:

        def start(variant: str, *, jobs: int = 2, n: int = 4, token: str = ONE) -> subprocess.Popen:
            names = {"module": project.name, "root": str(project.root), "variant": variant}
            python = [sys.executable, "-c", CHILD.format(**names, jobs=jobs, n=n, token=token)]
            started = subprocess.Popen(python, cwd=project.root, stdin=-1, stdout=-1, text=True, start_new_session=True)
            process = stack.enter_context(started)
            stack.callback(process.kill)
            assert "ready\n" == process.stdout.readline()
            return process

        yield start


@pytest.fixture
def two_cores() -> Iterator[None]:
    """Let this process and its children use two cores at most, where the system can be told so."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(before)[:2])
    yield
    os.sched_setaffinity(0, before)


def go(*processes: subprocess.Popen) -> None:
    """Tell them to."""
    for process in processes:
        process.stdin.write("\n")
        process.stdin.flush()


def intervals(notes) -> list[tuple[float, float]]:
    """When each training began and ended."""
    began = {(seed, pid): at for what, seed, pid, at in notes if what == "begin"}
    return [(began[seed, pid], at) for what, seed, pid, at in notes if what == "end"]


def most_at_once(spans: list[tuple[float, float]]) -> int:
    """The most of them that overlap."""
    return max(sum(start <= moment < end for start, end in spans) for moment, _ in spans)


def all_are_free(project) -> bool:
    """Whether nobody holds a lock of the store, in which there are some."""
    locks = [lock_now(path) for path in project.root.glob(".goldmark/**/*.lock")]
    return len(locks) > 1 and None not in locks


class TestOnce:
    """What is there and unchanged is read."""

    def test_a_second_session_reads_what_the_first_has_trained(self, project) -> None:
        """The same runs, in the order asked for; nothing is trained, and what a session trained it does not "read"."""
        digits, first, second = project.load().digits, project.session(), project.session()
        heard: list[int] = []
        trained = obtain(digits, ["default"], [2, 0, 1], session=first, on_run=lambda run: heard.append(run.seed))
        again = obtain(digits, ["default"], [2, 0, 1], session=first)
        read = obtain(digits, ["default"], [2, 0, 1], session=second)
        assert [3.0, 1.0, 2.0] == [run.metrics["x"] for run in trained.runs]
        assert [0, 1, 2] == sorted(heard) == sorted(project.begun())
        assert (0, {"no run yet": 3}) == (trained.n_read, trained.trained)
        assert trained.runs == read.runs == again.runs
        assert (3, Counter()) == (read.n_read, read.trained)
        assert ["digits: 3 trained (no run yet)"] == first.tally.lines()
        assert ["digits: 3 runs read"] == second.tally.lines()

    def test_a_finished_run_is_told_with_its_curves(self, project) -> None:
        """Whoever hears of runs one by one sees the metrics that the whole list has."""
        project.write(project.file.read_text().replace("return {", "yield {"))
        digits, told = project.load().digits, []
        curved = replace(digits, metrics=(*digits.metrics, area_under("x")))
        (run,) = obtain(curved, ["default"], [0], session=project.session(), on_run=told.append).runs
        assert ["x", "area under x"] == list(run.metrics) == list(told[0].metrics)

    def test_variants_share_the_workers_of_a_session(self, project) -> None:
        """A call after another starts no process: what it imports is imported once per worker."""
        module, session = project.load(), project.session()
        obtain(module.digits, ["default"], [0, 1], session=session)
        obtain(module.digits, ["broken"], [0], session=session)
        assert 1 == len({pid for _, _, pid, _ in project.notes()})

    def test_a_changed_module_gets_new_workers(self, project) -> None:
        """One that waits has the old code: what it would train is not what the file says."""
        digits = project.load().digits
        obtain(digits, ["default"], [0], session=project.session())
        project.write(project.file.read_text().replace("(seed + 1)", "(seed + 5)"))
        obtained = obtain(digits, ["default"], [0, 1], session=project.session())
        assert [5.0, 6.0] == [run.metrics["x"] for run in obtained.runs]
        assert {f"{project.name}.py changed": 1, "no run yet": 1} == obtained.trained

    def test_without_a_session_nothing_outdated_is_read(self, project, monkeypatch) -> None:
        """In an interpreter, where a module is edited between two calls."""
        (project.root / "pyproject.toml").touch()
        monkeypatch.chdir(project.root)
        before = use(None)
        try:
            assert 1.0 == obtain(project.load().digits, ["default"], [0]).runs[0].metrics["x"]
            project.write(project.file.read_text().replace("(seed + 1)", "(seed + 5)"))
            assert 5.0 == obtain(project.load().digits, ["default"], [0]).runs[0].metrics["x"]
        finally:
            use(before)

    def test_a_damaged_file_is_trained_again(self, project) -> None:
        """Cut off, or no JSON at all."""
        digits, session = project.load().digits, project.session()
        whole = obtain(digits, ["default"], [0, 1], session=session)
        path = store_path(session, digits, "default", 1)
        path.write_text(path.read_text()[:100])
        obtained = obtain(digits, ["default"], [0, 1], session=project.session())
        assert {"a damaged file": 1} == obtained.trained
        assert [run.metrics for run in whole.runs] == [run.metrics for run in obtained.runs]

    def test_a_fresh_session_trains_all_once(self, project) -> None:
        """What an earlier session trained is not read; what it trained itself is."""
        digits, fresh = project.load().digits, project.session(fresh=True)
        obtain(digits, ["default"], [0], session=project.session())
        assert {"all are trained anew": 1} == obtain(digits, ["default"], [0], session=fresh).trained
        assert not obtain(digits, ["default"], [0], session=fresh).trained
        assert [0, 0] == project.begun()

    def test_seeds_in_reverse(self, project) -> None:
        """They train last first, and come in the order asked for."""
        obtained = obtain(project.load().digits, ["default"], session=project.session(reverse=True))
        assert [3, 2, 1, 0] == project.begun()
        assert [0, 1, 2, 3] == [run.seed for run in obtained.runs]

    def test_a_store_that_cannot_be_written_is_one_line(self, project) -> None:
        """The folder, what is wrong with it, and the way out."""
        (project.root / ".goldmark").write_text("a file")
        with pytest.raises(UsageError, match=r"runs cannot be kept in '.*goldmark' \(.*goldmark_runs_dir"):
            obtain(project.load().digits, ["default"], session=project.session())

    def test_git_leaves_the_store_out(self, project) -> None:
        """Nobody has to name it in a .gitignore."""
        session = project.session()
        obtain(project.load().digits, ["default"], [0], session=session)
        assert "*" in (session.folder / ".gitignore").read_text().splitlines()


class TestTogether:
    """Several processes that ask for the same."""

    def test_no_seed_is_trained_twice_and_slots_are_kept(self, project, child, two_cores) -> None:
        """Two commands with as many workers as cores each: together no more than there are cores, each seed once."""
        children = [child("slow", n=6, token=token) for token in ("one", "other")]
        go(*children)
        answers = [process.communicate()[0].split() for process in children]
        assert [["1.0", "2.0", "3.0", "4.0", "5.0", "6.0"]] * 2 == [answer[:-1] for answer in answers]
        assert 6 == sum(int(answer[-1]) for answer in answers)
        assert [0, 1, 2, 3, 4, 5] == sorted(project.begun())
        assert most_at_once(intervals(project.notes())) <= n_cores()

    def test_who_finds_a_seed_locked_goes_on_with_others(self, project, eventually) -> None:
        """It trains the rest, and then waits for what the other one is at; where that ends without it, it trains it."""
        digits, session = project.load().digits, project.session()
        path = store_path(session, digits, "default", 0)
        lock = lock_now(path.with_suffix(".lock"))
        assert lock is not None
        threading.Timer(0.0, lambda: (eventually(lambda: [1, 2, 3] == project.begun()), lock.release())).start()
        obtained = obtain(digits, ["default"], session=session)
        assert [1, 2, 3, 0] == project.begun()
        assert [1.0, 2.0, 3.0, 4.0] == [run.metrics["x"] for run in obtained.runs]

    def test_a_name_is_of_one_function_in_all_processes_of_a_session(self, project) -> None:
        """Before another one of that name trains a seed that nobody has trained yet, or reads those of its own."""
        digits, place = project.load().digits, project.name
        assert 1 == obtain(digits, ["default"], [0], session=project.session(token=ONE)).trained.total()
        project.name = f"other_{place}"
        project.write((project.root / f"{place}.py").read_text())
        other = project.load().digits
        with pytest.raises(UsageError, match=f"two experiments are named 'digits', in {place}.py and in other_{place}"):
            obtain(other, ["default"], [1], session=project.session(token=ONE))
        assert 1 == obtain(other, ["default"], [1], session=project.session(token=TWO)).trained.total()
        assert [0, 1] == project.begun()
        obtain(digits, ["default"], [0], session=project.session(token=THREE))
        with pytest.raises(UsageError, match="two experiments"):
            obtain(other, ["default"], [1], session=project.session(token=THREE))


class TestEnds:
    """Seeds, workers and sessions that come to an end of their own."""

    @pytest.mark.slow
    def test_an_interrupted_session_keeps_what_is_finished(self, project, child, eventually) -> None:
        """Ctrl-C: its processes end, the finished run is read later, and no lock is left."""
        stopped = child("slow", jobs=1, n=40)
        go(stopped)
        eventually(lambda: len(project.begun()) >= 3)
        stopped.send_signal(signal.SIGINT)
        stopped.wait()
        assert stopped.returncode != 0
        assert [] == project.alive()
        obtained = obtain(project.load().digits, ["slow"], [0, 1], session=project.session())
        assert 2 == obtained.n_read
        assert all_are_free(project)

    @pytest.mark.slow
    def test_a_killed_session_leaves_nothing_behind(self, project, child, eventually) -> None:
        """Its workers end by themselves, and its slots and seeds are free for others at once."""
        killed = child("endless")
        go(killed)
        eventually(lambda: len(project.begun()) == min(2, n_cores()))
        killed.kill()
        killed.wait()
        eventually(lambda: not project.alive())
        assert 1 == obtain(project.load().digits, ["default"], [0], session=project.session()).trained.total()
        assert all_are_free(project)

    @pytest.mark.parametrize("variant", ["crashing", "killed"])
    def test_a_seed_that_fails_harms_no_other(self, project, variant: str) -> None:
        """It is a run with its error; a worker that was killed is replaced, and the summary names the seed."""
        module, session = project.load(), project.session()
        runs = obtain(module.digits, [variant], session=session).runs
        assert [1.0, None, 3.0, 4.0] == [run.metrics.get("x") for run in runs]
        assert [1] == [run.seed for run in runs if run.error is not None]
        assert [
            "digits: 4 trained (no run yet), 1 failed",
            f"digits/{variant}, seed 1: {runs[1].error}",
        ] == session.tally.lines()

    def test_numbers_of_a_variant_with_a_failed_seed_are_refused(self, project) -> None:
        """With the seed, its error and what it said at last; the next session trains it again."""
        module = project.load()
        before = use(project.session())
        try:
            with pytest.raises(UsageError) as refused:
                module.crashing.mean("x")
        finally:
            use(before)
        head, *output = str(refused.value).splitlines()
        assert "digits/crashing, seed 1: ValueError: no data for seed 1; it printed at last:" == head
        assert "  the last thing that it said" in output
        obtained = obtain(module.digits, ["crashing"], session=project.session())
        assert (3, {"it stopped with an error": 1}) == (obtained.n_read, obtained.trained)

    def test_an_error_of_a_callback_ends_the_training(self, project, eventually) -> None:
        """What is finished is kept, and what still trains ends at once instead of going on behind its back.

        The worker that has finished may wait for the next call.
        """

        def refuse(run) -> None:
            eventually(lambda: len(project.begun()) == min(2, n_cores()))
            raise KeyboardInterrupt

        digits = project.load().digits
        with pytest.raises(KeyboardInterrupt):
            obtain(digits, ["default", "endless"], [0], session=project.session(jobs=2), on_run=refuse)
        (ended,) = [pid for what, _, pid, _ in project.notes() if what == "end"]
        assert set(project.alive()) <= {ended}
        assert 1 == obtain(digits, ["default"], [0], session=project.session()).n_read

    def test_a_worker_asks_for_no_runs(self, project) -> None:
        """A module that asks for its own runs as it is imported would start workers that start workers."""
        module = project.load()
        project.write(project.file.read_text() + "digits.mean('x')\n")
        failed = obtain(module.digits, ["default"], [0], session=project.session()).runs[0]
        assert failed.error is not None
        assert "runs of experiment 'digits' are asked for where an experiment is imported or trained" in failed.error
        assert [] == project.begun()


class TestHere:
    """In this process, for a debugger."""

    def test_no_jobs_train_in_this_process_without_a_store(self, project) -> None:
        """A breakpoint in the function is reached, and nothing is read or written."""
        session = project.session(jobs=0)
        for _ in range(2):
            obtained = obtain(project.load().digits, ["default"], [0, 1], session=session)
            assert [1.0, 2.0] == [run.metrics["x"] for run in obtained.runs]
        assert {os.getpid()} == {pid for _, _, pid, _ in project.notes()}
        assert [0, 1, 0, 1] == project.begun()
        assert not session.folder.exists()

    def test_an_error_is_raised_where_it_happens(self, project) -> None:
        """`pytest --pdb` stops in the frame of the function."""
        with pytest.raises(ValueError, match="no data for seed 1") as raised:
            obtain(project.load().digits, ["crashing"], session=project.session(jobs=0))
        assert "digits" == raised.traceback[-1].name
        assert 1 == raised.traceback[-1].locals["seed"]


class TestProgress:
    """A line where training takes its time."""

    def test_it_says_how_far_it_is(self, project, monkeypatch) -> None:
        """After two seconds, and then every thirty; nothing where all is read."""
        assert (2.0, 30.0) == (_obtain.SILENT_S, _obtain.EVERY_S)
        monkeypatch.setattr(_obtain, "SILENT_S", 0.0)
        lines: list[str] = []
        session = project.session(say=lines.append)
        obtain(project.load().digits, ["default"], [0, 1], session=session)
        assert ["training digits: 0 of 2 runs after 0 s"] == lines
        obtain(project.load().digits, ["default"], [0, 1], session=session)
        assert 1 == len(lines)
