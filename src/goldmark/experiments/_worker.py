"""A worker: a fresh process that imports an experiment and trains its seeds, as the process that wants them sees it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import weakref
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from goldmark.case import Run, UsageError, recipe_of
from goldmark.experiments._results import run_of
from goldmark.fingerprint import fingerprint
from goldmark.runs._ingredients import maker, named_files, versions_of

if TYPE_CHECKING:
    from goldmark.experiments._declare import Experiment

NOTES = "GOLDMARK_WORKER"  # the variable that tells processes of the worker where to note what they see
_TAIL = 4000  # bytes of what a failed run printed
_PASSED = (  # they say where things are, and change no number
    *("PATH", "HOME", "USER", "LOGNAME", "SHELL", "TMPDIR", "TEMP", "TMP", "VIRTUAL_ENV", "CONDA_PREFIX"),
    *("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_RUNTIME_DIR", "HF_HOME", "TORCH_HOME", "MPLCONFIGDIR"),
    *("CUDA_HOME", "CUDA_PATH", "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE"),
    *("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy"),
)
_TELLING = (  # they can change numbers: a run holds what they were
    *("LANG", "LC_ALL", "LC_CTYPE", "LC_NUMERIC", "TZ", "LD_LIBRARY_PATH", "LD_PRELOAD", "DYLD_LIBRARY_PATH"),
    *("CUDA_VISIBLE_DEVICES", "CUBLAS_WORKSPACE_CONFIG", "NVIDIA_TF32_OVERRIDE", "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE"),
    *("MKL_CBWR", "MKL_ENABLE_INSTRUCTIONS", "OPENBLAS_CORETYPE", "ATEN_CPU_CAPABILITY", "ONEDNN_MAX_CPU_ISA"),
    *("NPY_DISABLE_CPU_FEATURES", "GLIBC_TUNABLES", "XLA_FLAGS", "JAX_PLATFORMS", "JAX_ENABLE_X64"),
)
_THREADS = ("OMP", "MKL", "OPENBLAS", "NUMEXPR", "BLIS", "RAYON")  # one thread of each: as many workers as cores


class Worker:
    """A fresh process of one thread that has imported an experiment and trains its seeds, one after another.

    Nothing of this process's state reaches it but `sys.path`, the usual variables of the environment, and those that
    the experiment names. It ends with this process, however that ends.
    """

    def __init__(self, case: Experiment, root: Path) -> None:
        """Start the process in the root of the project; the import is not waited for.

        Raise `UsageError` where the experiment stands in no file.
        """
        introduction = _introduction(case, root)
        self._case, self._root = case, root
        self._folder = Path(tempfile.mkdtemp(prefix="goldmark-"))
        self._output = self._folder / "output"
        with self._output.open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "goldmark.experiments._in_worker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=output,
                cwd=root,
                env=_environment(case, self._folder),
                start_new_session=True,  # a group of its own, that ends as one; an interrupt is ours to pass on
            )
        self._end = weakref.finalize(self, _end, self._process, self._folder)
        self._ready: dict[str, Any] | None = None
        self._send(introduction | {"folder": str(self._folder)})

    @property
    def alive(self) -> bool:
        """Whether it can train another seed."""
        return self._end.alive and self._process.poll() is None

    def train(self, variant: str, seed: int) -> Run:
        """Return the run of a variant and a seed, with its error and what it printed where it came to nothing.

        After an exception, or an end of its process, the worker is dead.
        """
        settings = recipe_of(self._case.settings_of(variant))
        try:
            reply = self._answer({"seed": seed, "settings": settings})
        except BaseException:  # an interrupt: the answer that is still to come would be taken for the next one's
            self.close()
            raise
        run = self._run(variant, seed, reply)
        if reply.get("dead"):
            self.close()
        return run

    def close(self) -> None:
        """End the process and all that it started."""
        self._end()

    def _answer(self, command: Mapping[str, Any]) -> dict[str, Any]:
        """Return what it says to a command, once it has imported the experiment, or why it has not."""
        if self._ready is None:
            self._ready = self._receive()
        if "error" in self._ready:
            return self._ready
        self._send(command)
        return self._receive()

    def _send(self, message: Mapping[str, Any]) -> None:
        pipe = self._process.stdin
        with suppress(BrokenPipeError):  # it has died, which the answer says
            if pipe is not None and not pipe.closed:
                pipe.write(json.dumps(message).encode() + b"\n")
                pipe.flush()

    def _receive(self) -> dict[str, Any]:
        """Return what it answers, or how its process ended."""
        pipe = self._process.stdout
        line = pipe.readline() if pipe is not None and not pipe.closed else b""
        if line.endswith(b"\n"):
            return cast("dict[str, Any]", json.loads(line))
        status = _killed(self._process) if self._end.alive else self._process.wait()
        return {"error": _last_words(status), "dead": True}

    def _run(self, variant: str, seed: int, reply: Mapping[str, Any]) -> Run:
        error = reply.get("error")
        ingredients = {"function": {maker(self._case.place, self._root): ""}, **reply.get("ingredients", {})}
        if "imported" in reply:
            ingredients["versions"] = versions_of(reply["imported"], self._root)
        return run_of(
            self._case,
            variant,
            seed,
            reply.get("metrics", {}),
            reply.get("history", ()),
            fingerprint=reply.get("fingerprint") or fingerprint(),
            sources=named_files(ingredients),
            seconds=reply.get("seconds", 0.0),
            ingredients=ingredients,
            error=error,
            output=self._tail() if error is not None else "",
        )

    def _tail(self) -> str:
        try:
            with self._output.open("rb") as output:
                output.seek(max(0, self._output.stat().st_size - _TAIL))
                return output.read().decode(errors="replace")
        except OSError:  # it was closed before
            return ""


def _introduction(case: Experiment, root: Path) -> dict[str, Any]:
    """Return what a worker has to know before it imports anything of the user."""
    if not case.place:
        raise UsageError(f"experiment '{case.name}' stands in no file that a worker could import; write it into one")
    return {
        "root": str(root.absolute()),
        "path": [os.path.abspath(entry) for entry in sys.path],  # noqa: PTH100 - "" is the current directory
        "module": case.function.__module__,
        "file": case.place,
        "function": case.function.__qualname__,
        "metrics": case.returned,
        "followed": case.followed,
        "data": list(case.data),
        "environment": [*_TELLING, *case.environment],
    }


def _environment(case: Experiment, folder: Path) -> dict[str, str]:
    """Return the environment of a worker: a fixed list of variables, and those that the experiment names."""
    passed = {name: os.environ[name] for name in (*_PASSED, *_TELLING) if name in os.environ}
    fixed = {f"{library}_NUM_THREADS": "1" for library in _THREADS}
    fixed |= {"VECLIB_MAXIMUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false", "PYTHONHASHSEED": "0"}
    fixed |= {"NPROC": "1"}  # the size of XLA's pool of threads (JAX), which no other variable and no flag limits
    fixed |= {"PYTHONPATH": os.pathsep.join(map(os.path.abspath, sys.path)), NOTES: str(folder)}
    named = {name: os.environ[name] for name in case.environment if name in os.environ}
    return passed | fixed | named


def _last_words(status: int) -> str:
    """Return in words how a process ended that gave no answer."""
    if status >= 0:
        return f"its process ended with exit status {status}"
    name = signal.Signals(-status).name
    return f"its process was killed by {name}{', as where memory runs out' if name == 'SIGKILL' else ''}"


def _killed(process: subprocess.Popen[bytes]) -> int:
    """Kill a worker's process and what it started, and return its exit status: its own where it was ending already."""
    with suppress(ProcessLookupError, PermissionError):  # nothing is left of it
        os.killpg(process.pid, signal.SIGKILL)
    return process.wait()


def _end(process: subprocess.Popen[bytes], folder: Path) -> None:
    """Kill a worker's process and what it started, and remove what it left."""
    _killed(process)
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with suppress(BrokenPipeError):  # it was still to read something
                pipe.close()
    shutil.rmtree(folder, ignore_errors=True)
