"""The object behind the `golden` fixture: it keeps what a test checks, and compares or records it after the body."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from goldmark.case import LOOKS, Metric, UsageError
from goldmark.fingerprint import fingerprint
from goldmark.golden._compare.drift import Comparison
from goldmark.golden._compare.messages import is_code, message
from goldmark.golden._compare.rounding import moved
from goldmark.golden._compare.tiers import compare
from goldmark.golden._files.devices import (
    device_of,
    golden_on,
    name_to_record,
    need_device,
    none_recorded,
    without_device,
)
from goldmark.golden._files.entries import Golden, Norm, Result, update_command
from goldmark.golden._files.folder import find_golden, golden_path, name_of_test
from goldmark.golden._files.settle import said_of_large_arrays
from goldmark.golden._fixture.misuse import misuse_fails
from goldmark.golden._fixture.origin import Source, data_files, named_sources, sources_of_test, versions_of_test
from goldmark.golden._fixture.parts import merged, part, unproved
from goldmark.golden._fixture.session import GoldenSession, Outcome, stage
from goldmark.golden._fixture.values import close_result, exact_result, need_dict

if TYPE_CHECKING:
    from goldmark.case import Case, Variant


class GoldenCheck:
    """The `golden` fixture: `exact`, `close` and `statistical` checks of one test against one file.

    A check keeps its values and goes on. After the body of the test all of them are compared, and what differs fails
    the test in one message.
    """

    def __init__(
        self, session: GoldenSession, nodeid: str, test_file: Path, name: str | None = None, *, address: str = ""
    ) -> None:
        self._session, self._nodeid, self._test_file = session, nodeid, test_file
        self._command = update_command(address or nodeid)  # the address of the test from where pytest was called
        self._result = Result(name=name or name_of_test(nodeid), recorded_by=nodeid)
        self._named: dict[str, GoldenCheck] = {}
        self._sources: dict[Path, str] | None = None  # that were named; None: what the test imports of the project
        self._data: list[Path] = []  # files of data that the test names, for all goldens of it
        self._device: str | None = None  # kind of device that trained; None: nothing was trained
        self._one_per_device = False  # no golden of another kind of device will do
        self._allow_fewer = session.partial
        self._comparison: Comparison | None = None  # of runs of a variant, which are compared as a whole
        self._over = False  # the body has ended and the goldens were compared
        self._outcome: Outcome | None = None
        self._approved: Golden | None = None  # what it was compared with

    @property
    def recording(self) -> bool:
        """Whether this session records the golden: guards and reference seeds need to be trained only then."""
        return self._session.updating or (self._session.new_only and self._golden() is None)

    @misuse_fails
    def __call__(self, name: str | None = None, *, device: str | None = None) -> GoldenCheck:
        """Return the checks against the golden of that name, a path below the golden folder without suffix.

        With `device`, "cpu", "cuda" or "mps", they are held to the golden that was recorded on such a device, and to no
        other: one golden per device, NAME@cuda beside NAME. Without a name it is the test's own.
        """
        if not isinstance(name, str) and not (name is None and device is not None):
            raise UsageError(f"golden takes a name, not {name!r}; values go into exact, close or statistical")
        own, kind = self._result.name, device and need_device(device)
        name = own if name is None else self._checked_name(name)
        stored = name if kind in (None, "cpu") else f"{name}@{kind}"
        check = self if stored == own else self._named.get(stored) or self._new(name)
        if check is not self:
            self._named[stored] = check
        return check._of_device(kind) if kind else check  # noqa: SLF001 (of this class)

    def _of_device(self, kind: str) -> GoldenCheck:
        self._device, self._one_per_device = kind, True
        return self

    def _checked_name(self, name: str) -> str:
        golden_path(self._session.folder, name)  # refuses a name that leads out of the folder
        if name != without_device(name):
            raise UsageError(f"'{name}' ends in the name of a device; call it '{without_device(name)}' and say device=")
        return name

    def _new(self, name: str) -> GoldenCheck:
        check = GoldenCheck(self._session, self._nodeid, self._test_file, name)
        check._command, check._data = self._command, self._data
        return check

    @misuse_fails
    def data(self, path: str | Path) -> Path:
        """Name a file or folder of data that the numbers depend on, relative to the root, and return its path.

        Its content is then known to the goldens of this test: where one does not hold, a changed file is named. Say
        `json.loads(golden.data("tests/data.json").read_text())`.
        """
        __tracebackhide__ = True
        absolute, files = data_files(path, self._session.root)
        self._data += files
        return absolute

    @misuse_fails
    def seeds(self, n: int) -> list[int]:
        """Return the seeds 0 to n - 1, to train with and to pass as `seeds`.

        When a recording runs its tests once more they come in reverse order, so that a run that depends on the runs
        before it does not repeat. Keep what is one value per seed in the order of the seeds, or in a dict by seed.
        """
        __tracebackhide__ = True
        if not isinstance(n, int) or n < 1:
            raise UsageError(f"golden.seeds needs how many seeds there are, such as 12; it was given {n!r}")
        return list(range(n))[:: -1 if self._session.again else 1]

    def looks(self) -> Iterator[list[int]]:
        """Yield the seeds to train before each look of a sequential check: 0 to 4, 5 to 9, 10 to 19.

        Each round of the loop passes all values so far to `statistical(..., sequential=True)`. The loop ends where
        every metric has decided; a recording has one round, of all 20 seeds.
        """
        for start, end in [(0, LOOKS[-1])] if self.recording else pairwise((0, *LOOKS)):
            before = self._result
            yield self.seeds(end)[start:]
            if not self._goes_on():
                return
            self._result = before  # the next round checks all of it again

    def _goes_on(self) -> bool:
        """Tell whether a sequential check needs another look; where there is no golden to hold to it does not."""
        try:
            golden = None if self.recording else self._golden()
        except UsageError:  # of a golden that cannot be trusted, which is said when the test ends
            return False
        return golden is not None and bool(self._compared(part(golden, self._result)).next_seeds)

    @misuse_fails
    def exact(self, values: Mapping[str, Any]) -> None:
        """Compare values for equality: integers, strings, shapes, recipes, arrays of integers."""
        __tracebackhide__ = True
        self._keep(exact_result(self._result.name, values))

    @misuse_fails
    def close(
        self,
        values: Mapping[str, Any],
        rel: float | Mapping[str, float] | None = None,
        *,
        abs: float | Mapping[str, float] | None = None,  # noqa: A002 (what numpy and pytest call it)
        norm: Norm | Mapping[str, Norm] | None = None,
        equal_nan: bool | Mapping[str, bool] = False,
    ) -> None:
        """Compare numbers, or lists, dicts and arrays of numbers: each may move by `rel` times its size plus `abs`.

        With `norm="max"` or `"l2"` a vector moves as a whole: the norm of its change may be `rel` times its own norm
        plus `abs`. `equal_nan` lets NaN equal NaN. All are one value or a dict by key, and are stored with the entry.
        Without `rel` the project's own is taken (ini option `golden_rel`), and without that 1e-9.
        """
        __tracebackhide__ = True
        given = {"rel": rel, "abs": abs, "norm": norm, "equal_nan": equal_nan}
        self._keep(close_result(self._result.name, values, self._session.defaults, given))

    @misuse_fails
    def statistical(
        self,
        values: Mapping[str, Any],
        *,
        seeds: Iterable[Any],
        metrics: Iterable[Metric] = (),
        first: Mapping[str, Any] | None = None,
        stream: Iterable[str] | None = None,
        check_seeds: int | None = None,
        sequential: bool = False,
        allow_fewer: bool = False,
        sources: Iterable[Source] | None = None,
        device: str | None = None,
    ) -> None:
        """Compare metrics of trained models, `{metric: one value per seed}`, by the rule stored with each.

        `metrics` are the rules, a `Metric` each: `Metric("val_rmse", margin="2%", better="lower", guard=values)`. Its
        margin is the change that nobody would mind, in the metric's unit or as "2%": every metric with one gates, and
        None is for what is only to be shown. Its guard holds values of the bug that the golden must see, or a function
        that returns them, and `null` values after innocent changes; they are judged when they are recorded, and a check
        may leave them out. `first`, by metric, are values after the first epoch: a model that learns no more must be
        seen too. `stream` is one hash per seed, of the order of examples and draws, which pairs the seeds; without it
        Welch's test compares them. `check_seeds` is how many of the recorded seeds a check must have, all of them by
        default: the others are trained where `golden.recording`, and make the golden's side of a comparison larger. A
        check with fewer fails, unless `allow_fewer` or `--golden-partial` says so. `sequential`: of 20 recorded seeds a
        check passes the first 5, and 10 or all only where those do not decide: see `looks`. `sources` names files,
        folders and modules that can change the numbers, by default what the test's files import of the project.
        `device` is the kind that trained: "cpu", "cuda" or "mps". Margin, alpha and device that are left out are the
        project's own (ini options `golden_margin`, ...).
        """
        __tracebackhide__ = True
        if not isinstance(allow_fewer, bool):
            raise UsageError(f"allow_fewer is {allow_fewer!r}; give True where fewer seeds are meant, or leave it out")
        self._device = self._trained_on(device)
        self._sources = None if sources is None else named_sources(sources, self._session.root)
        self._allow_fewer = self._allow_fewer or allow_fewer
        rules = {"metrics": metrics, "first": first, "check_seeds": check_seeds, "sequential": sequential}
        self._keep_metrics(values, seeds, rules, stream)

    @misuse_fails
    def runs(self, of: Case[Any] | Variant, *, update_command: str | None = None) -> Comparison:
        """Compare the runs of an experiment, or of a variant of any case, with the golden NAME/VARIANT.

        They are read where nothing has changed since they were trained, and trained otherwise. A recording trains all,
        those of the guards too, which a check leaves out unless `--golden-guards` puts them on trial; it judges the
        claims about the variant and its guards, and is refused while one fails. A seed that fails fails the check.
        `update_command` is what the message names, in the place of pytest's.
        """
        __tracebackhide__ = True
        from goldmark.golden._fixture.trained import name_of, trained_and_compared, variant_of

        variant = variant_of(of)
        named = self(name_of(variant))
        named._command = update_command or self._command  # noqa: SLF001 (of this class)
        result, comparison = trained_and_compared(variant, self._session, recording=named.recording)
        named._result, named._comparison = result, comparison  # noqa: SLF001 (of this class)
        named._device = result.fingerprint.get("device", "cpu")  # noqa: SLF001 (of this class)
        return comparison

    def judge(self, *, complete: bool) -> list[str]:
        """Compare what the test has checked, once its body is over, and return the message: no line where all hold.

        `complete`: the body ran to its end, so that every entry of a golden must have been checked.
        """
        checks = self._checks()
        self._over = True
        lines = [line for check in checks for line in check._judged(complete=complete)]  # noqa: SLF001 (of this class)
        names = [outcome.name for outcome in self.outcomes()]
        twice = {name for name in names if names.count(name) > 1}
        return [
            *(f"golden '{name}' is checked with golden(device=...) and without; say it once" for name in twice),
            *lines,
        ]

    @property
    def over(self) -> bool:
        """Whether the goldens of the test were compared."""
        return self._over

    @misuse_fails
    def finish(self) -> None:
        """End a test that passed: stage what it recorded."""
        __tracebackhide__ = True
        for check in self._checks():
            if check._outcome and check._outcome.recorded:  # noqa: SLF001 (of this class)
                check._stage()  # noqa: SLF001 (of this class)

    def outcomes(self) -> list[Outcome]:
        """Return what became of every golden that the test touched."""
        return [check._outcome for check in self._checks() if check._outcome]  # noqa: SLF001 (of this class)

    def compared(self) -> list[tuple[Outcome, Result, Golden | None]]:
        """Return what became of every golden, with the values of the test and the golden that they were compared to."""
        return [part for check in self._checks() for part in check._compared_alone()]  # noqa: SLF001 (of this class)

    def _compared_alone(self) -> list[tuple[Outcome, Result, Golden | None]]:
        return [(self._outcome, self._result, self._approved)] if self._outcome else []

    def _checks(self) -> list[GoldenCheck]:
        """Return the checks of all goldens of the test; its own one only where it is used, or no other is."""
        return [*([self] if self._used() or not self._named else []), *self._named.values()]

    def _used(self) -> bool:
        return self._comparison is not None or any((self._result.exact, self._result.close, self._result.statistical))

    def _trained_on(self, device: str | None) -> str:
        """Return the kind of device of a call of `statistical`: that of the call, of the golden, or the project's."""
        if self._one_per_device and device not in (None, self._device):
            raise UsageError(f"device is {device!r}, and this golden is that of '{self._device}'; say it once")
        return need_device(device or (self._device if self._one_per_device else self._session.defaults.device))

    def _keep_metrics(
        self, values: Mapping[str, Any], seeds: Iterable[Any], rules: dict[str, Any], stream: Iterable[str] | None
    ) -> None:
        # loaded here: most tests hold exact and close numbers, and should not pay for statistics
        from goldmark.golden._fixture.arguments import Rules, held_entries, new_entries, seed_names, stream_by_seed

        need_dict("statistical", values)
        names = seed_names(seeds)
        hashes = None if stream is None else stream_by_seed(stream, names)
        given = Rules(defaults=self._session.defaults, **rules)
        if self._session.again:  # guards and innocent changes are no part of what must repeat
            given = given.alone()
        if self.recording and not self._session.again:  # of a second run the values alone are read
            entries = new_entries(values, names, given, paired=hashes is not None)
        else:
            entries = held_entries(values, names, given)
        self._keep(Result(name=self._result.name, statistical=entries, stream=hashes))

    def _keep(self, new: Result) -> None:
        """Add the entries of one check to those of the test; raise `UsageError` where these have been compared."""
        if self._over:
            raise UsageError(
                f"golden '{self._result.name}' was checked after the body of the test, when its goldens had been "
                "compared; check in the test, or in the set-up of a fixture"
            )
        self._result = merged(self._result, new)

    def _judged(self, *, complete: bool) -> list[str]:
        """Compare one golden, or note that it is recorded; return the message where it does not hold."""
        self._over = True
        try:
            if self._used():
                return self._recorded() if self.recording else self._held(complete=complete)
            return self._failed(": the test asked for it and checked nothing with it") if complete else []
        except UsageError as error:  # a golden that cannot be trusted
            self._note(ok=False)
            return [str(error)]

    def _recorded(self) -> list[str]:
        large = said_of_large_arrays(self._result, self._session.defaults.whole)
        unjudged = [self._comparison.reason] if self._comparison and self._comparison.reason else []
        reasons = [*unjudged, *large, *unproved(self._result.statistical, power=True)]
        self._note(ok=True, reasons=reasons, recorded=True)
        return []

    def _held(self, *, complete: bool) -> list[str]:
        golden = self._golden()
        if golden is None:
            why = none_recorded(self._session.folder, self._result.name, self._device)
            return self._failed(f" {why}; create it: {self._command}")
        self._approved = golden
        comparison = self._comparison or self._compared(golden if complete else part(golden, self._result))
        partial = [f"not checked in full: {comparison.reason}"] if comparison.ok is None else []
        reasons = [*partial, *unproved(golden.statistical, power=False)]
        self._note(ok=comparison.ok, reasons=reasons, name=golden.name, undecided=comparison.undecided)
        if comparison.ok is not False:
            return []
        return message(comparison, self._command, every_drift=self._session.every_drift)

    def _failed(self, why: str) -> list[str]:
        self._note(ok=False)
        return [f"golden '{self._result.name}'{why}"]

    def _compared(self, golden: Golden) -> Comparison:
        """Compare with the golden; code, data and environment are looked at only where something has moved."""
        result = replace(self._result, fingerprint={"device": self._device} if self._device else {})
        how = {"allow_fewer": self._allow_fewer, "strict": self._session.strict}
        comparison = compare(golden, result, **how)
        if comparison.ok is False or moved(golden, result):
            comparison = compare(golden, self._with_origin(golden), **how)
        return comparison

    def _stage(self) -> None:
        result = replace(self._with_origin(None), name=self._name())
        staging = cast("Path", self._session.staging)  # there in every session that records
        stage(staging, result, whole=self._session.defaults.whole)

    def _golden(self) -> Golden | None:
        """Return the stored golden: that of the device, where something was trained on one."""
        folder, name = self._session.folder, self._result.name
        golden = golden_on(folder, name, self._device) if self._device else find_golden(folder, name)
        others = golden is not None and self._one_per_device and device_of(golden) not in (None, self._device)
        return None if others else golden

    def _name(self) -> str:
        """Return the name under which the golden is recorded."""
        folder, name = self._session.folder, self._result.name
        return name_to_record(folder, name, self._device) if self._device else name

    def _with_origin(self, golden: Golden | None) -> Result:
        """Return the result with what its numbers come from, and what a golden's came from, as it is now."""
        if self._result.versions:  # runs of an experiment know what they were made of
            return self._result
        root = self._session.root
        last = golden.origin if golden else None
        result = replace(self._result, versions=versions_of_test(root, last.versions if last else ()))
        if result.sources:  # runs of the catalogue know their own code
            return result
        # also data that was recorded and that a test which came to no end has not named yet
        recorded = [root / file for file in last.sources if not is_code(file)] if last else []
        sources = sources_of_test(self._test_file, root, self._sources, [*self._data, *recorded])
        return replace(result, fingerprint=fingerprint(self._device or "cpu"), sources=sources)

    def _note(self, *, name: str = "", **became: Any) -> None:
        """Say what became of the golden."""
        called = self._name() if became.get("recorded") else name or self._result.name
        self._outcome = Outcome(name=called).plus(**became)
