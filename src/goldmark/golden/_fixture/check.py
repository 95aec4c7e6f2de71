"""The object behind the `golden` fixture: each check compares new numbers with the test's golden, or records them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, ParamSpec, TypeVar, cast

import pytest

from goldmark.case import Better, UsageError
from goldmark.fingerprint import fingerprint
from goldmark.golden._compare.drift import Comparison
from goldmark.golden._compare.messages import message
from goldmark.golden._compare.rounding import REPEAT
from goldmark.golden._compare.tiers import compare
from goldmark.golden._files.entries import BadGolden, Close, Golden, Result, Test, update_command
from goldmark.golden._files.folder import find_golden, golden_path, name_of_test
from goldmark.golden._files.plain import plain
from goldmark.golden._fixture.origin import Source, sources_of_test
from goldmark.golden._fixture.session import GoldenSession, Outcome, stage, unapproved

if TYPE_CHECKING:
    from goldmark.case import Run

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
            misuse = str(error)
        pytest.fail(misuse, pytrace=False)

    return checked


class GoldenCheck:
    """The `golden` fixture: `exact`, `close` and `statistical` checks of one test against one file."""

    def __init__(self, session: GoldenSession, nodeid: str, test_file: Path, name: str | None = None) -> None:
        self._session, self._nodeid, self._test_file = session, nodeid, test_file
        self._result = Result(name=name or name_of_test(nodeid), recorded_by=nodeid)
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
        """Compare values for equality: integers, strings, shapes, recipes, arrays of integers."""
        __tracebackhide__ = True
        self._check(Result(name=self._result.name, exact=self._kept(values)))

    @_misuse_fails
    def close(self, values: Mapping[str, Any], rel: float = 1e-9) -> None:
        """Compare numbers, or lists, dicts and arrays of numbers, within a relative tolerance."""
        __tracebackhide__ = True
        if not (isinstance(plain(rel), int | float) and 0 <= rel < 1):
            raise UsageError(f"rel is {rel!r}; give a relative tolerance of at least 0 and below 1, such as 1e-9")
        entries = {key: Close(value, rel=float(rel)) for key, value in self._kept(values).items()}
        self._check(Result(name=self._result.name, close=entries))

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
        """Compare metrics of trained models, `{metric: one value per seed}`, by the rule stored with each.

        `margin`, `alpha`, `better` and `test` are one value or a dict by metric. `margin` is the change that nobody
        would mind, in the metric's unit or as "2%". `guards`, by metric, are values of the bug that the golden must
        see: only guarded metrics gate. `first`, by metric, are values after the first epoch: a model that learns no
        more must be seen too. `stream` is one hash per seed, of the order of examples and draws, which pairs the
        seeds; without it Welch's test compares them. `sources` names files, folders and modules that can change the
        numbers, by default the imported modules of the project.
        """
        __tracebackhide__ = True
        self._origin = {"sources": None if sources is None else list(sources), "device": device}
        rules = {"margin": margin, "guards": guards, "first": first, "alpha": alpha, "better": better, "test": test}
        self._check_metrics(values, seeds, rules, stream)

    @_misuse_fails
    def case(self, runs: Sequence[Run], variant: str, *, update_command: str | None = None) -> Comparison:
        """Compare runs of one variant of a catalogue case with its golden; return what `check_case` returns for it.

        `runs` may include those of its guards, which are recorded beside it.
        """
        __tracebackhide__ = True
        named = self(f"{runs[0].case}/{variant}")
        return named._check_case(runs, variant, update_command)  # noqa: SLF001 (of this class)

    @_misuse_fails
    def finish(self) -> None:
        """End a test that passed: stage what it recorded, or fail for entries of the golden that no check covered."""
        __tracebackhide__ = True
        if self._outcome or not self._named:
            self._finish()
        for check in self._named.values():
            check._finish()  # noqa: SLF001 (of this class)

    def outcomes(self) -> list[Outcome]:
        """Return what became of every golden that the test touched."""
        checks = (self, *self._named.values())
        return [check._outcome for check in checks if check._outcome]  # noqa: SLF001 (of this class)

    def _check_metrics(
        self, values: Mapping[str, Any], seeds: Iterable[Any], rules: dict[str, Any], stream: Iterable[str] | None
    ) -> None:
        __tracebackhide__ = True
        # loaded here: most tests hold exact and close numbers, and should not pay for statistics
        from goldmark.golden._fixture.arguments import Rules, held_entries, new_entries, seed_names, stream_by_seed

        names = seed_names(seeds)
        hashes = None if stream is None else stream_by_seed(stream, names)
        if self._recording():
            entries = new_entries(values, names, Rules(**rules), paired=hashes is not None)
        else:
            entries = held_entries(values, names, Rules(**rules), self._golden().statistical)
        self._check(self._with_origin(Result(name=self._result.name, statistical=entries, stream=hashes)))
        unguarded = [metric for metric, entry in entries.items() if entry.guard is None]
        if unguarded:
            self._note(ok=True, reasons=[f"shown only, without a guard: {', '.join(unguarded)}"])

    def _check_case(self, runs: Sequence[Run], variant: str, command: str | None) -> Comparison:
        __tracebackhide__ = True
        from goldmark.golden._catalogue import check_case, result_of

        self._complete = True
        self._result = result_of(runs, variant)
        if self._recording():
            self._note(ok=True, recorded=True)
            return Comparison(name=self._result.name, ok=True, reason="recorded")
        self._golden()  # here a missing golden is a failure
        (comparison,) = check_case([run for run in runs if run.variant == variant], self._session.folder)
        return self._conclude(comparison, command)

    def _check(self, new: Result) -> None:
        """Record the entries of one check, or compare them with the same entries of the golden."""
        __tracebackhide__ = True
        self._result = _merged(self._result, new)
        if self._recording():
            self._note(ok=True, recorded=True)
        else:
            self._judge(_part(self._golden(), new), new)

    def _judge(self, golden: Golden, new: Result) -> None:
        """Compare entries with a golden; code and environment are looked at only where they fail, to be named."""
        __tracebackhide__ = True
        comparison = compare(golden, new)
        if comparison.ok is False and not new.fingerprint:
            comparison = compare(golden, self._with_origin(new))
        self._conclude(comparison)

    def _conclude(self, comparison: Comparison, command: str | None = None) -> Comparison:
        __tracebackhide__ = True
        if comparison.ok is False:
            self._fail(message(comparison, command or update_command(self._nodeid)))
        reasons = [f"not checked: {comparison.reason}"] if comparison.ok is None else []
        self._note(ok=comparison.ok, reasons=reasons)
        return comparison

    def _finish(self) -> None:
        __tracebackhide__ = True
        if not self._outcome:
            self._fail([f"golden '{self._result.name}': the test asked for it and checked nothing with it"])
        if self._outcome.recorded:
            self._stage()
        elif not self._complete:
            rest = _not_covered(self._golden(), self._result)
            if rest.exact or rest.close or rest.statistical:
                self._judge(rest, self._with_origin(Result(name=rest.name)))

    def _stage(self) -> None:
        __tracebackhide__ = True
        result = self._result if self._result.fingerprint else self._with_origin(self._result)
        first = self._session.first.pop(result.name, None)
        if self._session.repeat and first is None:
            self._session.first[result.name] = result
            return
        if first is not None:
            self._refuse_unrepeated(first, result)
        stage(cast("Path", self._session.staging), result)  # there in every session that records

    def _refuse_unrepeated(self, first: Result, second: Result) -> None:
        __tracebackhide__ = True
        from goldmark.golden._record.entry import golden_from

        as_golden = golden_from(replace(first, close=_loosened(first.close)), (unapproved(second),))
        comparison = compare(as_golden, replace(second, close=_loosened(second.close)))
        if comparison.ok is False:
            shown = [drift.text for drift in comparison.drifts[:5]]
            self._fail([f"golden '{second.name}' does not repeat: two runs of the test in one session differ", *shown])

    def _golden(self) -> Golden:
        __tracebackhide__ = True
        golden = self._load()
        if golden is None:
            self._fail([f"golden '{self._result.name}' does not exist; create it: {update_command(self._nodeid)}"])
        return golden

    def _load(self) -> Golden | None:
        """Return the stored golden, read once a test."""
        __tracebackhide__ = True
        if not self._loaded:
            try:
                self._stored = find_golden(self._session.folder, self._result.name)
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

    def _note(self, *, ok: bool | None, reasons: Iterable[str] = (), recorded: bool = False) -> None:
        """Add a check to the outcome of the golden."""
        before = self._outcome or Outcome(name=self._result.name)
        self._outcome = before.plus(ok=ok, reasons=reasons, recorded=recorded)

    def _fail(self, lines: Iterable[str]) -> NoReturn:
        __tracebackhide__ = True
        self._note(ok=False)
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


def _not_covered(golden: Golden, checked: Result) -> Golden:
    """Return the golden's entries that no check of the test has covered."""
    return replace(
        golden,
        exact={key: value for key, value in golden.exact.items() if key not in checked.exact},
        close={key: value for key, value in golden.close.items() if key not in checked.close},
        statistical={key: value for key, value in golden.statistical.items() if key not in checked.statistical},
        stream=None,
    )


def _merged(before: Result, new: Result) -> Result:
    """Add the entries of one check to those of the test; raise `UsageError` for a key that was checked before."""
    for tier in ("exact", "close", "statistical"):
        twice = set(getattr(before, tier)) & set(getattr(new, tier))
        if twice:
            raise UsageError(
                f"golden '{before.name}': '{min(twice)}' is checked twice as {tier}; give each its own key"
            )
    if before.statistical and new.statistical and (before.stream, _seeds(before)) != (new.stream, _seeds(new)):
        raise UsageError(
            f"golden '{before.name}': a second call of statistical has other seeds or another stream; "
            "one stream a golden: use golden(name) for the other"
        )
    if new.statistical:
        before = replace(before, stream=new.stream, fingerprint=new.fingerprint, sources=new.sources)
    return replace(
        before,
        exact={**before.exact, **new.exact},
        close={**before.close, **new.close},
        statistical={**before.statistical, **new.statistical},
    )


def _seeds(result: Result) -> set[str]:
    return {seed for entry in result.statistical.values() for seed in entry.values}


def _loosened(close: Mapping[str, Close]) -> dict[str, Close]:
    """Return entries of a first run and its repetition under the tolerance to which they must agree: relative 1e-6."""
    return {key: replace(entry, rel=REPEAT) for key, entry in close.items()}
