"""What a worker's process does: import an experiment, and train the seeds that it is told, one after another.

It is told by JSON lines on what was its standard input, and answers so on what was its standard output; what the user's
code prints goes elsewhere.
"""

from __future__ import annotations

import faulthandler
import fcntl
import importlib.util
import json
import os
import select
import signal
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from types import ModuleType
from typing import Any

from goldmark.experiments._notes import Notes
from goldmark.experiments._observe import Observer
from goldmark.experiments._results import ResultError, not_finite, results_of
from goldmark.experiments._worker import NOTES
from goldmark.fingerprint import fingerprint
from goldmark.runs._ingredients import data_hash, value_hash

ROOT = f"{NOTES}_ROOT"
_OURS = Path(__file__).parent  # whose lines say nothing to whoever reads a trace


@dataclass(frozen=True, kw_only=True)
class _Parent:
    """The process that wants the runs, at the other end of two pipes."""

    commands: FileIO
    answers: int

    def receive(self) -> dict[str, Any]:
        """Return the next command; end where there will be none."""
        self._end_with_it(wanted=False)
        line = self.commands.readline()
        if not line:
            os.killpg(os.getpgrp(), signal.SIGKILL)
        self._end_with_it(wanted=True)
        return dict(json.loads(line))

    def answer(self, answer: Mapping[str, Any]) -> None:
        """Send an answer, after which the next command may come."""
        sys.stdout.flush()
        self._end_with_it(wanted=False)
        line = json.dumps(answer).encode() + b"\n"
        while line:
            line = line[os.write(self.answers, line) :]

    def _end_with_it(self, *, wanted: bool) -> None:
        """Let the kernel end this process and all that it started when the pipe closes, or cease to.

        No thread waits for that: a process of several threads should not be forked, as users' loaders of data do.
        """
        flags = fcntl.fcntl(self.commands, fcntl.F_GETFL) & ~os.O_ASYNC
        fcntl.fcntl(self.commands, fcntl.F_SETFL, flags | (os.O_ASYNC if wanted else 0))
        if wanted and select.select([self.commands], [], [], 0)[0]:  # it closed before
            os.killpg(os.getpgrp(), signal.SIGKILL)


def main() -> None:
    """Import an experiment, and train what is asked for until nobody asks."""
    parent = _take_pipes()
    told = parent.receive()
    root, folder = Path(told["root"]), Path(told["folder"])
    sys.path[:], sys.argv[1:] = told["path"], []
    environment = {name: value_hash(name) for name in told["environment"]}  # before the user's code sets any
    os.environ[ROOT] = str(root)
    observer = Observer(root, folder / "notes")
    notes = Notes(folder / "notes", root, told["path"], environment)
    observer.install()
    try:
        function = _function(told["module"], Path(told["file"]), told["function"])
    except BaseException as error:  # noqa: BLE001 - an import may exit, too
        parent.answer(_failed(error, "it cannot be imported: "))
        return
    parent.answer({})
    while True:
        command = parent.receive()
        os.truncate(folder / "output", 0)
        os.chdir(root)
        parent.answer(_trained(function, command, told, notes, observer))


def _take_pipes() -> _Parent:
    """Return the pipes of the parent, and leave what is printed to the file of errors; forked processes lose them."""
    commands, answers = os.dup(0), os.dup(1)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)
    fcntl.fcntl(2, fcntl.F_SETFL, fcntl.fcntl(2, fcntl.F_GETFL) | os.O_APPEND)
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    faulthandler.enable()
    signal.signal(signal.SIGIO, signal.SIG_DFL)
    fcntl.fcntl(commands, fcntl.F_SETOWN, -os.getpgrp())
    os.register_at_fork(after_in_child=lambda: os.close(answers))
    return _Parent(commands=FileIO(commands), answers=answers)


def _function(name: str, file: Path, function: str) -> Callable[..., Any]:
    """Return the training function of a module, without the experiment that it may be."""
    module = _module(file.stem if name == "__main__" else name, file)
    declared = getattr(module, function)
    return getattr(declared, "function", declared)  # type: ignore[no-any-return]


def _module(name: str, file: Path) -> ModuleType:
    """Import a module by its name where that leads to the file, so that relative imports work, and else by the file."""
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError):
        spec = None
    if spec is not None and spec.origin is not None and Path(spec.origin).resolve() == file.resolve():
        return importlib.import_module(name)
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise ImportError(f"{file} is no module")
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _trained(
    function: Callable[..., Any], command: Mapping[str, Any], told: Mapping[str, Any], notes: Notes, observer: Observer
) -> dict[str, Any]:
    """Return what is to be said of a seed: numbers or an error, and what went into it."""
    root = Path(told["root"])
    with observer.paused():
        hashes = {name: data_hash(root / name) for name in told["data"]}
    lacking = next((name for name, value in hashes.items() if not value), None)
    if lacking is not None:
        return {"error": f"data names '{lacking}', which is not in {root}; name what is there, relative to the project"}
    started = time.perf_counter()
    try:
        result = function(command["seed"], **command["settings"])
        metrics, history = results_of(result, told["metrics"], told["followed"])
    except ResultError as error:
        return {"error": str(error)}
    except BaseException as error:  # noqa: BLE001 - whatever it raises, it is the error of this run
        return _failed(error, "")
    seconds = time.perf_counter() - started
    with observer.paused():
        made_of = notes.ingredients(told["data"], hashes)
        known = fingerprint(_device())
    return {
        "metrics": metrics,
        "history": history,
        "error": not_finite(metrics),
        "seconds": seconds,
        "ingredients": made_of,
        "imported": notes.imported(),
        "fingerprint": known,
    }


def _failed(error: BaseException, where: str) -> dict[str, Any]:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None and _OURS == Path(trace.tb_frame.f_code.co_filename).parent:
        trace = trace.tb_next
    traceback.print_exception(type(error), error, trace)
    sys.stderr.flush()
    first, *more = str(error).splitlines() or [""]  # the others stand in the trace
    return {"error": f"{where}{type(error).__name__}: {first}{' ...' if more else ''}".rstrip(": "), "dead": True}


def _device() -> str:
    torch = sys.modules.get("torch")
    return "cuda" if torch is not None and torch.cuda.is_initialized() else "cpu"


if __name__ == "__main__":
    main()
elif __name__ == "__mp_main__":  # a process that the user's code has spawned
    Observer(Path(os.environ[ROOT]), Path(os.environ[NOTES]) / "notes").install()
