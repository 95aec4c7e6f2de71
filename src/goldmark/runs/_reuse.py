"""The run store: whether a run that somebody trained can be read instead of training it again, and why not."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from goldmark._session import Session
from goldmark.case import Case, ModelCase, Run, UsageError, recipe_of
from goldmark.runs._folder import locked, read_whole
from goldmark.runs._ingredients import changed, maker, maker_of
from goldmark.runs._jobs import Job
from goldmark.runs._outputs import with_outputs
from goldmark.runs._since import what_changed
from goldmark.runs._slots import open_store
from goldmark.runs._store import run_file, write_whole

NEW = "no run yet"


def store_path(session: Session, case: Case[Any], variant: str, seed: int) -> Path:
    """Return the file of a run in the store of a session."""
    return run_file(session.folder / "runs", case, variant, seed)


def reusable(
    session: Session, case: Case[Any], variant: str, seed: int, *, device: str = "cpu"
) -> tuple[Run | None, str]:
    """Return a run that the store holds, or None and why it has to be trained.

    A run is read where nothing that can change its numbers has changed. One that stopped with an error never is, for
    its cause may be gone, and in a fresh session only those that this session has trained. A case of the engine may be
    another one of the same name, as `replace(case, settings=...)` is: it is looked at in every session.
    """
    path = store_path(session, case, variant, seed)
    _need_one_function(session, case)
    run = read_whole(path)
    if run is None:
        return None, "a damaged file" if path.exists() else NEW
    own = run.session == session.token
    if own and not isinstance(case, ModelCase):  # of now, whatever has changed since: a session sees one state
        return (run, "") if _same_arguments(case, run) else (None, "other arguments")
    if session.fresh and not own:
        return None, "all are trained anew"
    if run.error is not None and not run.metrics:
        return None, "it stopped with an error"
    why = _changed(session, case, run, device)
    return (None, why) if why else (run, "")


def _changed(session: Session, case: Case[Any], run: Run, device: str) -> str | None:
    if isinstance(case, ModelCase):
        return what_changed(run, Job(case, run.variant, run.seed, device))
    if maker_of(run) != maker(case.place, session.root):
        return "the function of another file"
    return outdated(session, run) if _same_arguments(case, run) else "other arguments"


def outdated(session: Session, run: Run) -> str | None:
    """Return what has changed since an experiment's run, besides what other runs have written beside its outputs."""
    why, written = changed(run, session.root), run.ingredients.get("written")
    if why is None or not written:
        return why
    made_of = {**run.ingredients, "written": with_outputs(written, session.folder)}
    return changed(replace(run, ingredients=made_of), session.root)


def _need_one_function(session: Session, case: Case[Any]) -> None:
    """Raise `UsageError` where the session asks for runs of another experiment of that name, here or elsewhere."""
    here = maker(case.place, session.root)
    if case.name not in session.makers:
        session.makers[case.name] = _first_maker(session, case.name, here)
    there = session.makers[case.name]
    if there != here:
        raise UsageError(
            f"two experiments are named '{case.name}', in {there} and in {here}; give one function another name: runs "
            "and goldens are kept by it"
        )


def _first_maker(session: Session, name: str, here: str) -> str:
    """Return the file of the function of that name of which the first process of a session asked for runs."""
    path = session.folder / "makers" / f"{name}.json"
    try:
        open_store(session.folder)
        with locked([path], wait=True):
            noted = json.loads(path.read_text()) if path.exists() else {}
            if noted.get("session") != session.token:
                noted = {"session": session.token, "maker": here}
                write_whole(path, json.dumps(noted).encode())
            return str(noted["maker"])
    except (OSError, ValueError):  # of a store that can only be read, or a damaged file
        return here


def _same_arguments(case: Case[Any], run: Run) -> bool:
    return bool(run.exact["recipe"] == recipe_of(case.settings_of(run.variant)))
