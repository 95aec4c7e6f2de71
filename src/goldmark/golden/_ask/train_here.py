"""Train a case, or run a test, with the code of one tree: a script that is run as a file, in a process of its own.

Nothing of goldmark is imported before the tree's own import path is in force: where the project is goldmark itself, an
old revision trains with its own engine, whatever its API was.
"""

from __future__ import annotations

import inspect
import json
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any


def main(file: str) -> int:
    """Do the job of a file, a JSON object, and write a line for each run; return the exit status."""
    job = json.loads(Path(file).read_text())
    sys.path[:] = job["path"]
    os.environ["PYTHONPATH"] = os.pathsep.join(job["path"])  # of the processes that are started from here
    status = _test(job) if job["test"] else _train(job)
    if job["worktree"] is not None:
        _refuse_code_of(job["elsewhere"], job["installed"])
    return status


def _train(job: Mapping[str, Any]) -> int:
    """Write a line for each run as it finishes, and at the end for those of which nobody was told."""
    case = _case(job["case"])
    if job["worktree"] is not None:
        _need_home(case, job["worktree"])
    told = set()
    with Path(job["rows"]).open("a") as rows:

        def tell(run: Any) -> None:
            if (run.variant, run.seed) not in told:
                told.add((run.variant, run.seed))
                metrics = {name: float(value) for name, value in run.metrics.items()}
                error = getattr(run, "error", None)
                row = {"variant": run.variant, "seed": run.seed, "metrics": metrics, "error": error}
                rows.write(json.dumps(row) + "\n")
                rows.flush()

        for run in _runs(case, job, tell):
            tell(run)
    return 0


def _case(name: str) -> Any:
    """Return the case of that name as the tree's own configuration declares it."""
    try:
        from goldmark.golden._project import find_project
    except ImportError:  # goldmark before it knew projects
        from goldmark.cases import CASES

        return CASES[name]
    return find_project().cases([name])[0]


def _runs(case: Any, job: Mapping[str, Any], tell: Any) -> list[Any]:
    variants, seeds, jobs = job["variants"], job["seeds"], job["jobs"]
    on = {} if job["device"] == "cpu" else {"device": job["device"]}  # which goldmark has not always known
    try:
        from goldmark._session import Session
        from goldmark.experiments import obtain
    except ImportError:  # goldmark before experiments
        from goldmark.training import train

        processes: dict[str, Any] = {"jobs" if "jobs" in inspect.signature(train).parameters else "processes": jobs}
        return train(case, variants, seeds, on_run=tell, **processes, **on)
    session = Session(root=Path(job["root"]), folder=Path(job["store"]), fresh=True, jobs=jobs)
    return obtain(case, variants, seeds, session=session, on_run=tell, **on).runs


def _test(job: Mapping[str, Any]) -> int:
    """Run one test as after a recording: it stages what it compares, and nothing is recorded."""
    import pytest

    file = job["test"].partition("::")[0]
    options = [f"--golden-again={job['staging']}", "-p", "no:cacheprovider", f"--rootdir={job['root']}"]
    return int(pytest.main([file, *options]))


def _need_home(case: Any, worktree: str) -> None:
    """End the process where the case is not one of a module of the worktree."""
    files = [str(getattr(module, "__file__", None)) for module in list(sys.modules.values()) if _has(module, case)]
    if not any(Path(file).is_relative_to(worktree) for file in files):
        sys.exit(
            f"goldmark: '{case.name}' was imported from {' and '.join(files) or 'nowhere'}, and not from the revision, "
            "so that none but its installed code could be trained; let the project import it from its own folder"
        )


def _has(module: ModuleType, case: Any) -> bool:
    """Tell whether a module has a case, which a project may hand out as a copy: one of its kind and name."""
    values = list(getattr(module, "__dict__", {}).values())
    return any(type(value) is type(case) and value.name == case.name for value in values)


def _refuse_code_of(elsewhere: str, installed: list[str]) -> None:
    """End the process where a module was loaded from the working tree, and not from the tree that was meant."""
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if not file or name in ("__main__", "__mp_main__"):  # this script may lie there
            continue
        own = Path(file).is_relative_to(elsewhere) and not any(Path(file).is_relative_to(place) for place in installed)
        if own and "site-packages" not in Path(file).parts:
            sys.exit(f"goldmark: '{name}' was imported from the working tree ({file}), not from the revision")


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # which a shell's background job is started without
    sys.exit(main(sys.argv[1]))
