"""What an update records, `--snapshot-update` in syrupy's words: results as bytes, staged until the session ends.

Switches and summary of a user's own snapshots are syrupy's. Goldens do not go through its assertions: it would write
each at once, report "generated" after a refusal, and delete the golden of a test that failed before its check.
"""

from __future__ import annotations

from pathlib import Path

from goldmark.fingerprint import sha256
from goldmark.golden.store import Golden, Provenance, Result, from_bytes, to_bytes


def result_to_bytes(result: Result) -> bytes:
    """Return a result in the format of a golden, with a provenance that nobody has given a reason for yet."""
    from goldmark.golden.record import golden_from  # loaded here: only recording needs it

    return to_bytes(golden_from(result, (Provenance("", "", None, {}, result.fingerprint, result.sources),)))


def result_from_bytes(content: bytes, where: str) -> Result:
    """Return the result that `result_to_bytes` wrote; `where` names the bytes in errors."""
    return as_result(from_bytes(content, where))


def as_result(golden: Golden) -> Result:
    """Return the entries of a golden as if they had been found just now."""
    last = golden.provenance[-1]
    entries = (golden.exact, golden.close, golden.statistical, golden.stream)
    return Result(golden.name, *entries, last.fingerprint, last.sources)


def stage(staging: Path, result: Result) -> None:
    """Put a result where the end of the session finds it; the file follows from the name: the last one stays."""
    (staging / sha256(result.name.encode())).write_bytes(result_to_bytes(result))


def staged_results(staging: Path) -> dict[str, Result]:
    """Return the results that the tests of a session, in all its processes, have staged."""
    found = (result_from_bytes(path.read_bytes(), str(path)) for path in sorted(staging.glob("*")))
    return {result.name: result for result in found}
