"""The syrupy extension: results become bytes, are matched by the comparator, and are staged instead of written."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, cast

from syrupy.data import SnapshotCollection, SnapshotCollections
from syrupy.extensions.base import AbstractSyrupyExtension
from syrupy.location import PyTestLocation

from goldmark.fingerprint import sha256
from goldmark.golden.compare import compare, message
from goldmark.golden.naming import name_of_test
from goldmark.golden.store import Golden, Provenance, Result, from_bytes, golden_path, to_bytes
from goldmark.golden.transaction import recover


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


class GoldenExtension(AbstractSyrupyExtension):
    """Goldens as syrupy snapshots; `bound` ties the class to the golden folder of a session.

    syrupy hands nothing but a path to the classmethod that writes, so folder and staging are class attributes.
    """

    file_extension = "json"
    write_immediately = True
    folder: ClassVar[Path]
    staging: ClassVar[Path | None]  # where results wait for the end of the session; None outside updates

    def serialize(self, data: Any, **_: Any) -> bytes:
        """Return a `Result` as bytes; syrupy's filters and matchers have no say in numbers."""
        return result_to_bytes(data)

    def matches(self, *, serialized_data: Any, snapshot_data: Any) -> bool:
        """Hold the result to the golden by the golden's own rules; what cannot be checked does not fail."""
        golden = from_bytes(snapshot_data, "golden")
        return compare(golden, result_from_bytes(serialized_data, "result")).ok is not False

    def diff_lines(self, serialized_data: Any, snapshot_data: Any) -> Iterator[str]:
        """Return the comparator's message, worst entry first."""
        if not snapshot_data:  # syrupy has said already that the golden does not exist
            return iter(())
        golden, result = from_bytes(snapshot_data, "golden"), result_from_bytes(serialized_data, "result")
        return iter(message(compare(golden, result), golden, 'pytest --snapshot-update --golden-reason "..."'))

    @classmethod
    def get_location(cls, *, test_location: PyTestLocation, index: int | str) -> str:
        """Return the path of a test's golden; a custom index of syrupy (`snapshot(name=...)`) is the golden's name."""
        name = index if isinstance(index, str) else name_of_test(test_location.nodeid)
        return str(golden_path(cls.folder, name))

    def read_snapshot_data_from_location(
        self, *, snapshot_location: str, snapshot_name: str, session_id: str
    ) -> bytes | None:
        """Return the bytes of a golden after an interrupted update is recovered, or None where there is none."""
        recover(self.folder)
        path = Path(snapshot_location)
        return path.read_bytes() if path.exists() else None

    @classmethod
    def write_snapshot_collection(
        cls, *, snapshot_collection: SnapshotCollection, name_order: dict[str, int] | None = None
    ) -> None:
        """Stage the results: the session's end commits all of them or none."""
        if cls.staging is None:
            raise RuntimeError("a golden was written outside an update; pass --snapshot-update and --golden-reason")
        for snapshot in snapshot_collection:
            stage(cls.staging, snapshot.name, cast("bytes", snapshot.data))

    def read_snapshot_collection(self, *, snapshot_location: str) -> SnapshotCollection:
        """Return nothing: finding goldens is not syrupy's business here."""
        return SnapshotCollection(location=snapshot_location)

    def discover_snapshots(
        self, *, test_location: PyTestLocation, ignore_extensions: list[str] | None = None
    ) -> SnapshotCollections:
        """Return nothing: syrupy's cleanup would delete the golden of a test that failed before its check."""
        return SnapshotCollections()

    def delete_snapshots(self, *, snapshot_location: str, snapshot_names: set[str]) -> None:
        """Delete nothing: pruning is a command of its own."""

    @classmethod
    def matches_test_location(cls, *, test_location: PyTestLocation, snapshot_location: str) -> bool:
        """Accept any path of the golden folder: names are given by tests, not derived from files beside them."""
        return Path(snapshot_location).is_relative_to(cls.folder)


def bound(folder: Path, staging: Path | None) -> type[GoldenExtension]:
    """Return the extension tied to a golden folder and, in an update, to the folder where results wait."""
    return type("GoldenExtension", (GoldenExtension,), {"folder": folder, "staging": staging})


def stage(staging: Path, name: str, result: bytes) -> None:
    """Put a result where the end of the session finds it; the file follows from the name: the last one stays."""
    (staging / sha256(name.encode())).write_bytes(result)


def staged_results(staging: Path) -> dict[str, Result]:
    """Return the results that the tests of a session, in all its processes, have staged."""
    found = (result_from_bytes(path.read_bytes(), str(path)) for path in sorted(staging.glob("*")))
    return {result.name: result for result in found}
