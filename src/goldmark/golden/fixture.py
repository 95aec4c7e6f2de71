"""The object behind the `golden` fixture: each check holds new numbers to the test's golden, or records them."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, ParamSpec, TypeVar, cast

import pytest

from goldmark.case import Better, UsageError
from goldmark.fingerprint import fingerprint
from goldmark.golden.compare import Comparison, compare, message
from goldmark.golden.folder import find_golden
from goldmark.golden.naming import name_of_test
from goldmark.golden.origin import Source, sources_of_test
from goldmark.golden.rounding import REPEAT
from goldmark.golden.snapshot import stage
from goldmark.golden.store import BadGolden, Close, Golden, Provenance, Result, Test, golden_path, plain

if TYPE_CHECKING:
    from goldmark.case import Run

Outcome = dict[str, Any]  # name, ok, reasons, recorded: plain values, because xdist sends them to the controller


@dataclass(frozen=True)
class GoldenSession:
    """What the golden checks of one test session share."""

    root: Path
    folder: Path
    staging: Path | None  # where results wait for the end of the session; None outside updates
    updating: bool  # every result is recorded
    new_only: bool  # a result is recorded where there is no golden yet
    repeat: bool  # each recording test runs twice
    first: dict[str, Result] = field(default_factory=dict)  # results of a test's first run, by name of the golden


_P = ParamSpec("_P")
_T = TypeVar("_T")


def _misuse_fails(check: Callable[_P, _T]) -> Callable[_P, _T]:
    """Turn a misuse of the fixture into a failure of its one line, without a traceback through this package."""

    @wraps(check)
    def checked(*args: _P.args, **kwargs: _P.kwargs) -> _T:
        __tracebackhide__ = True
        try:
            return check(*args, **kwargs)
        except UsageError as error:
            said = str(error)
        pytest.fail(said, pytrace=False)

    return checked


class GoldenCheck:
    """The `golden` fixture: `exact`, `close` and `statistical` checks of one test against one file."""

    def __init__(self, session: GoldenSession, nodeid: str, test_file: Path, name: str | None = None) -> None:
        self._session, self._nodeid, self._test_file = session, nodeid, test_file
        self._found = Result(name or name_of_test(nodeid))
        self._stored: Golden | None = None
        self._named: dict[str, GoldenCheck] = {}
        self._origin: dict[str, Any] = {"sources": None, "device": "cpu"}
        self._complete = False  # a ready result is compared as a whole; nothing is left to look for afterwards
        self._loaded = False
        self._outcome: Outcome | None = None

    @_misuse_fails
    def __call__(self, name: str) -> GoldenCheck:
        """Return the checks against the golden of that name, a path below the golden folder without suffix."""
        golden_path(self._session.folder, name)  # refuses a name that leads out of the folder
        if name not in self._named:
            self._named[name] = GoldenCheck(self._session, self._nodeid, self._test_file, name)
        return self._named[name]

    @_misuse_fails
    def exact(self, values: Mapping[str, Any]) -> None:
        """Hold values to the golden's, equal or not: integers, strings, shapes, recipes, arrays of integers."""
        __tracebackhide__ = True
        self._hold(Result(self._found.name, exact=self._kept(values)))

    @_misuse_fails
    def close(self, values: Mapping[str, Any], rel: float = 1e-9) -> None:
        """Hold numbers, or lists, dicts and arrays of numbers, to the golden's within a relative tolerance."""
        __tracebackhide__ = True
        if not (isinstance(plain(rel), int | float) and 0 <= rel < 1):
            raise UsageError(f"rel is {rel!r}; give a relative tolerance of at least 0 and below 1, such as 1e-9")
        entries = {key: Close(value, float(rel)) for key, value in self._kept(values).items()}
        self._hold(Result(self._found.name, close=entries))

    @_misuse_fails
    def statistical(
        self,
        values: Mapping[str, Any],
        *,
        seeds: Iterable[Any],
        margin: float | str | Mapping[str, float | str],
        guards: Mapping[str, Any] | None = None,
        first: Mapping[str, Any] | None = None,
        alpha: float | Mapping[str, float] = 1e-3,
        better: Better | Mapping[str, Better] = "neither",
        test: Test | Mapping[str, Test] = "t",
        stream: Iterable[str] | None = None,
        sources: Iterable[Source] | None = None,
        device: str = "cpu",
    ) -> None:
        """Hold metrics of trained models to the golden's, `{metric: a value a seed}`, by the rule stored with each.

        `margin`, `alpha`, `better` and `test` are one value or a dict by metric. `margin` is the change that nobody
        would mind, in the metric's unit or as "2%". `guards`, by metric, are values of the bug that the golden must
        see: only guarded metrics gate. `first`, by metric, are values after the first epoch: a model that learns no
        more must be seen too. `stream` is a hash a seed of the order of examples and draws, which pairs the seeds;
        without it Welch's test compares them. `sources` names files, folders and modules that can change the numbers,
        by default the imported modules of the project.
        """
        __tracebackhide__ = True
        self._origin = {"sources": None if sources is None else list(sources), "device": device}
        rules = {"margin": margin, "guards": guards, "first": first, "alpha": alpha, "better": better, "test": test}
        self._hold_metrics(values, seeds, rules, stream)

    @_misuse_fails
    def case(self, runs: Sequence[Run], variant: str, *, update_command: str | None = None) -> Comparison:
        """Hold runs of one variant of a catalogue case to its golden by `check_case`; return what that saw.

        `runs` may hold those of its guards too, which are recorded beside it.
        """
        __tracebackhide__ = True
        named = self(f"{runs[0].case}/{variant}")
        return named._hold_case(runs, variant, update_command)  # noqa: SLF001 (of this class)

    @_misuse_fails
    def finish(self) -> None:
        """Close the books of a test that passed: fail for entries of the golden that nobody checked, or stage them."""
        __tracebackhide__ = True
        if self._outcome or not self._named:
            self._finish()
        for check in self._named.values():
            check._finish()  # noqa: SLF001 (of this class)

    def outcomes(self) -> list[Outcome]:
        """Return what became of every golden that the test touched."""
        checks = (self, *self._named.values())
        return [check._outcome for check in checks if check._outcome]  # noqa: SLF001 (of this class)

    def _hold_metrics(
        self, values: Mapping[str, Any], seeds: Iterable[Any], rules: dict[str, Any], stream: Iterable[str] | None
    ) -> None:
        __tracebackhide__ = True
        # loaded here: most tests hold exact and close numbers, and should not pay for statistics
        from goldmark.golden.arguments import Rules, held_entries, new_entries, seed_names, stream_by_seed

        names = seed_names(seeds)
        hashes = None if stream is None else stream_by_seed(stream, names)
        if self._recording():
            entries = new_entries(values, names, Rules(**rules), same_stream=hashes is not None)
        else:
            entries = held_entries(values, names, Rules(**rules), self._golden().statistical)
        self._hold(self._with_origin(Result(self._found.name, statistical=entries, stream=hashes)))
        unguarded = [metric for metric, entry in entries.items() if entry.guard is None]
        if unguarded:
            self._note(ok=True, reasons=[f"shown only, without a guard: {', '.join(unguarded)}"])

    def _hold_case(self, runs: Sequence[Run], variant: str, command: str | None) -> Comparison:
        __tracebackhide__ = True
        from goldmark.golden import check_case
        from goldmark.golden.catalogue import result_of

        self._complete = True
        self._found = result_of(runs, variant)
        if self._recording():
            self._note(ok=True, recorded=True)
            return Comparison(self._found.name, ok=True, reason="recorded", drifts=(), not_checked=())
        self._golden()  # here a missing golden is a failure
        (seen,) = check_case([run for run in runs if run.variant == variant], self._session.folder)
        return self._conclude(seen, command)

    def _hold(self, new: Result) -> None:
        """Record the entries of one check, or compare them with the same entries of the golden."""
        __tracebackhide__ = True
        self._found = _merged(self._found, new)
        if self._recording():
            self._note(ok=True, recorded=True)
        else:
            self._judge(_part(self._golden(), new), new)

    def _judge(self, golden: Golden, new: Result) -> None:
        """Compare entries with a golden; code and environment are looked at only where they fail, to be named."""
        __tracebackhide__ = True
        seen = compare(golden, new)
        if seen.ok is False and not new.fingerprint:
            seen = compare(golden, self._with_origin(new))
        self._conclude(seen)

    def _conclude(self, seen: Comparison, command: str | None = None) -> Comparison:
        __tracebackhide__ = True
        if seen.ok is False:
            self._fail(message(seen, command or self._command()))
        self._note(ok=seen.ok, reasons=[f"not checked: {seen.reason}"] if seen.ok is None else [])
        return seen

    def _finish(self) -> None:
        __tracebackhide__ = True
        if not self._outcome:
            self._fail([f"golden '{self._found.name}': the test asked for it and checked nothing with it"])
        if self._outcome["recorded"]:
            self._stage()
        elif not self._complete:
            unseen = _unseen(self._golden(), self._found)
            if unseen.exact or unseen.close or unseen.statistical:
                self._judge(unseen, self._with_origin(Result(unseen.name)))

    def _stage(self) -> None:
        __tracebackhide__ = True
        found = self._found if self._found.fingerprint else self._with_origin(self._found)
        first = self._session.first.pop(found.name, None)
        if self._session.repeat and first is None:
            self._session.first[found.name] = found
            return
        if first is not None:
            self._refuse_unrepeated(first, found)
        stage(cast("Path", self._session.staging), found)  # there in every session that records

    def _refuse_unrepeated(self, first: Result, second: Result) -> None:
        __tracebackhide__ = True
        from goldmark.golden.record import golden_from

        as_golden = golden_from(first, (Provenance("", "", None, {}, second.fingerprint, second.sources),))
        seen = compare(
            replace(as_golden, close=_loosened(as_golden.close)), replace(second, close=_loosened(second.close))
        )
        if seen.ok is False:
            shown = [drift.text for drift in seen.drifts[:5]]
            self._fail([f"golden '{second.name}' does not repeat: two runs of the test in one session differ", *shown])

    def _golden(self) -> Golden:
        __tracebackhide__ = True
        golden = self._load()
        if golden is None:
            self._fail([f"golden '{self._found.name}' does not exist; create it: {self._command()}"])
        return golden

    def _load(self) -> Golden | None:
        """Return the stored golden, read once a test."""
        __tracebackhide__ = True
        if not self._loaded:
            try:
                self._stored = find_golden(self._session.folder, self._found.name)
            except BadGolden as error:
                self._fail([str(error)])
            self._loaded = True
        return self._stored

    def _recording(self) -> bool:
        return self._session.updating or (self._session.new_only and self._load() is None)

    def _kept(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Copy what is recorded when the test ends; what is compared at once, the comparator makes plain itself."""
        copied = self._recording()
        return {str(key): plain(value, str(key)) if copied else value for key, value in values.items()}

    def _with_origin(self, result: Result) -> Result:
        sources = sources_of_test(self._test_file, self._session.root, self._origin["sources"])
        return replace(result, fingerprint=fingerprint(self._origin["device"]), sources=sources)

    def _command(self) -> str:
        return f'pytest {shlex.quote(self._nodeid)} --snapshot-update --golden-reason "..."'

    def _note(self, *, ok: bool | None, reasons: Iterable[str] = (), recorded: bool = False) -> None:
        """Add a check to the outcome of the file: false beats null, null beats true."""
        known = self._outcome or {"name": self._found.name, "ok": True, "reasons": [], "recorded": False}
        worst = ok if known["ok"] is True else known["ok"]
        merged = list(dict.fromkeys([*known["reasons"], *reasons]))
        self._outcome = {**known, "ok": worst, "reasons": merged, "recorded": known["recorded"] or recorded}

    def _fail(self, lines: Iterable[str]) -> NoReturn:
        __tracebackhide__ = True
        self._note(ok=True)
        self._outcome = {**(self._outcome or {}), "ok": False}
        pytest.fail("\n".join(lines), pytrace=False)


def _part(golden: Golden, new: Result) -> Golden:
    """Return the golden's entries that one check covers; those it lacks are the comparator's to report."""
    return replace(
        golden,
        exact={key: golden.exact[key] for key in new.exact if key in golden.exact},
        close={key: golden.close[key] for key in new.close if key in golden.close},
        statistical={key: golden.statistical[key] for key in new.statistical if key in golden.statistical},
        stream=golden.stream if new.statistical else None,
    )


def _unseen(golden: Golden, seen: Result) -> Golden:
    """Return the golden's entries that no check of the test has covered."""
    return replace(
        golden,
        exact={key: value for key, value in golden.exact.items() if key not in seen.exact},
        close={key: value for key, value in golden.close.items() if key not in seen.close},
        statistical={key: value for key, value in golden.statistical.items() if key not in seen.statistical},
        stream=None,
    )


def _merged(found: Result, new: Result) -> Result:
    """Add the entries of one check to those of the test; raise `UsageError` for a key that was checked before."""
    for tier in ("exact", "close", "statistical"):
        twice = set(getattr(found, tier)) & set(getattr(new, tier))
        if twice:
            raise UsageError(f"golden '{found.name}': '{min(twice)}' is checked twice as {tier}; give each its own key")
    if found.statistical and new.statistical and (found.stream, _seeds(found)) != (new.stream, _seeds(new)):
        raise UsageError(
            f"golden '{found.name}': a second call of statistical has other seeds or another stream; "
            "one stream a golden: use golden(name) for the other"
        )
    if new.statistical:
        found = replace(found, stream=new.stream, fingerprint=new.fingerprint, sources=new.sources)
    return replace(
        found,
        exact={**found.exact, **new.exact},
        close={**found.close, **new.close},
        statistical={**found.statistical, **new.statistical},
    )


def _seeds(found: Result) -> set[str]:
    return {seed for entry in found.statistical.values() for seed in entry.values}


def _loosened(close: Mapping[str, Close]) -> dict[str, Close]:
    """Return entries of a first run and its repetition under the tolerance to which they must agree: relative 1e-6."""
    return {key: replace(entry, rel=REPEAT) for key, entry in close.items()}
