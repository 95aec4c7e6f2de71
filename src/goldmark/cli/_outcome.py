"""What one case came to, shown on a terminal and as JSON: the same for `goldmark run` and `goldmark matrix`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, NoReturn

from rich.console import Console
from rich.text import Text

from goldmark.case import Case, Claim, Failure, Run, Runs, Verdict
from goldmark.cli._evaluations import evaluation_tables, evaluations_as_json
from goldmark.cli._tables import (
    claims_table,
    failure_lines,
    golden_lines,
    mean_baselines,
    slowest_line,
    summary,
    variant_tables,
)
from goldmark.golden._compare.drift import Comparison
from goldmark.runs import by_variant


@dataclass(frozen=True)
class Outcome:
    """What one case came to: its runs and failures, its claims with verdicts, its goldens compared."""

    case: Case[Any]
    runs: Runs
    verdicts: Sequence[tuple[Claim, Verdict]]
    goldens: Sequence[Comparison]
    failures: Sequence[Failure] = ()

    @property
    def ok(self) -> bool:
        """Whether no run, claim or golden fails; what is not checked does not fail."""
        judged = (*(verdict.ok for _, verdict in self.verdicts), *(golden.ok for golden in self.goldens))
        return not self.failures and False not in judged


def outcome_of(
    case: Case[Any], runs: Sequence[Run], goldens: Sequence[Comparison], failures: Sequence[Failure] = ()
) -> Outcome:
    """Judge the claims of a case on its runs, beside what the comparison with its goldens gave."""
    grouped = by_variant(runs)
    return Outcome(case, grouped, case.judge(grouped), goldens, failures)


def failures_of(runs: Sequence[Run]) -> list[Failure]:
    """Return the runs that came to nothing."""
    return [failure for run in runs if (failure := run.failure) is not None]


def show(console: Console, outcome: Outcome) -> None:
    """Print the tables of a case: variants beside baselines, claims, goldens, failures, and how long it took."""
    case = outcome.case
    console.print(Text(f"\n{case.name}: {case.says}", style="bold"))
    if outcome.runs:
        for table in variant_tables(case, outcome.runs, console.width):
            console.print(table)
        for table in evaluation_tables(case, outcome.runs, console.width):
            console.print(table)
    if outcome.verdicts:
        console.print(claims_table(case, outcome.verdicts))
    for line in (*golden_lines(outcome.goldens), *failure_lines(outcome.failures)):
        console.print(line)
    if outcome.runs:
        console.print(slowest_line([run for runs in outcome.runs.values() for run in runs]))


def finish(console: Console, outcomes: Sequence[Outcome]) -> NoReturn:
    """Say which cases fail and exit: 0 all as it should be, 1 otherwise."""
    failed = [outcome.case.name for outcome in outcomes if not outcome.ok]
    console.print(Text(f"\nfails: {', '.join(failed)}" if failed else "\nall as it should be"))
    raise SystemExit(1 if failed else 0)


def as_json(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """Return the outcomes of all cases in the layout of the JSON files, with the fingerprint of the first run."""
    fingerprint = next((dict(run.fingerprint) for o in outcomes for runs in o.runs.values() for run in runs), {})
    return {"cases": {outcome.case.name: _case_as_json(outcome) for outcome in outcomes}, "fingerprint": fingerprint}


def _case_as_json(outcome: Outcome) -> dict[str, Any]:
    case = outcome.case
    return {
        "says": case.says,
        "seeds": sorted({run.seed for runs in outcome.runs.values() for run in runs}),
        "variants": {name: _variant_as_json(case, name, outcome) for name in outcome.runs},
        "baselines": mean_baselines(outcome.runs),
        "claims": [
            {
                "name": claim.name,
                "says": claim.says,
                "source": claim.source,
                "documented": claim.documented,
                **_verdict_as_json(verdict),
                "parts": [{"says": part.says, **_verdict_as_json(part)} for part in verdict.parts],
            }
            for claim, verdict in outcome.verdicts
        ],
        "goldens": [{"name": golden.name, "ok": golden.ok, "reason": golden.reason} for golden in outcome.goldens],
        "failures": [asdict(failure) for failure in outcome.failures],
    }


def _verdict_as_json(verdict: Verdict) -> dict[str, Any]:
    names = ("ok", "value", "relation", "limit", "n_seeds", "worst_seed", "distance_sd")
    return {name: getattr(verdict, name) for name in names}


def _variant_as_json(case: Case[Any], name: str, outcome: Outcome) -> dict[str, Any]:
    variant, runs = case.variant(name), outcome.runs[name]
    values = {metric.name: [run.metrics[metric.name] for run in runs] for metric in case.metrics}
    return {
        "role": variant.role,
        "of": variant.of,
        "says": variant.says,
        "metrics": {metric: {**summary(by_seed), "values": by_seed} for metric, by_seed in values.items()},
        "documented": dict(case.documented.get(name, {})),
        "evaluations": evaluations_as_json(runs),
    }
