"""The claims of a case, judged on the very runs that are to be recorded: no update blesses one that fails."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from goldmark.case import Case, Run
from goldmark.runs import by_variant

WAY_OUT = "mend the training, or change the claim where something else is to hold now"


def failing_claims(case: Case[Any], runs: Sequence[Run]) -> tuple[list[str], list[str]]:
    """Return in words which claims of a case fail on its runs, and which are not judged, as they need more seeds.

    A claim about a variant of which a seed came to nothing fails. Raise `UsageError` where runs lack what one reads.
    """
    stopped = {failure.variant: failure for run in runs if (failure := run.failure) is not None}
    failing, unjudged = [], []
    for claim, verdict in case.judge(by_variant([run for run in runs if run.error is None])):
        failures = [stopped[name] for name in claim.variants if name in stopped]
        if failures or verdict.ok is False:
            errors = "; ".join(f"{failure.variant} seed {failure.seed}: {failure.error}" for failure in failures)
            failing.append(f"{claim.name}: {claim.says}\n  {errors or verdict}")
        elif verdict.ok is None:
            unjudged.append(str(verdict))
    return failing, unjudged
