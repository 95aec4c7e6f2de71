"""`goldmark runs`: what the run store holds, one of its runs, and how it is emptied."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from goldmark.case import Run, UsageError
from goldmark.cli._json_file import json_option, write_json
from goldmark.cli._tables import number_text, wide_console
from goldmark.golden._project import find_project
from goldmark.runs import read_whole, trim_outputs

_SECONDS_A_DAY = 86400.0


@click.group("runs")
def runs_group() -> None:
    """Look at the finished runs that tests and commands share, and clear them away.

    They lie in the folder of the ini option goldmark_runs_dir, .goldmark by default. Nothing is lost with them but the
    time to train them again.

    \b
    goldmark runs list
    goldmark runs show digits/default 3
    goldmark runs clean --older 30
    """


@dataclass(frozen=True, kw_only=True)
class StoredVariant:
    """What the store holds of a variant."""

    name: str  # CASE/VARIANT
    scale: str
    seeds: tuple[int, ...]
    failed: tuple[int, ...]  # seeds that came to nothing
    seconds: float  # that their training took
    days: float  # since the newest was written
    n_bytes: int


@runs_group.command("list")
@json_option
def list_command(json_file: Path | None) -> None:
    """Show what the store holds of each variant: seeds, failures, the seconds that they took, age and size.

    \b
    goldmark runs list
    goldmark runs list --json runs.json
    """
    folder = _folder()
    variants = [_stored(folder, path) for path in _variant_folders(folder)]
    if json_file is not None:
        write_json(json_file, folder=str(folder), variants=[asdict(variant) for variant in variants])
    if not variants:
        click.echo(f"no runs in '{folder}'")
        return
    wide_console().print(_table(folder, variants))


@runs_group.command("show")
@click.argument("name", metavar="CASE/VARIANT")
@click.argument("seed", type=int)
@json_option
def show_command(name: str, seed: int, json_file: Path | None) -> None:
    """Show one run: its metrics, what it was made of, and of one that failed the error and the end of its output.

    \b
    goldmark runs show digits/default 3
    """
    run = _named(_folder(), name, seed)
    if json_file is not None:
        write_json(json_file, run=asdict(run))
    _show(wide_console(), run)


@runs_group.command("clean")
@click.argument("names", metavar="[CASE | CASE/VARIANT]...", nargs=-1)
@click.option("--older", metavar="DAYS", type=click.FloatRange(min=0), help="Only what is older than that many days.")
def clean_command(names: tuple[str, ...], older: float | None) -> None:
    """Delete runs: all of them, those of the names that are given, or what is old.

    \b
    goldmark runs clean
    goldmark runs clean digits
    goldmark runs clean --older 30
    """
    folder = _folder()
    known = _by_name(folder)
    chosen = {name: path for name, path in known.items() if not names or {name, name.partition("/")[0]} & set(names)}
    unknown = [name for name in names if not any(name in (stored, stored.partition("/")[0]) for stored in chosen)]
    if unknown:
        raise UsageError(f"the store has no runs of '{unknown[0]}'; it has: {', '.join(known) or 'none'}")
    n = sum(_delete(path, older) for path in chosen.values())
    left = (read_whole(file) for path in _variant_folders(folder) for file in _files(path))
    trim_outputs(folder, (run for run in left if run is not None))
    click.echo(f"{n} runs deleted from '{folder}'")


def _folder() -> Path:
    project = find_project()
    return project.root / project.runs_dir


def _variant_folders(folder: Path) -> list[Path]:
    """Return the folders that hold runs: SCALE/CASE/VARIANT."""
    return sorted(path for path in (folder / "runs").glob("*/*/*") if path.is_dir() and _files(path))


def _by_name(folder: Path) -> dict[str, Path]:
    return {_name(folder, path): path for path in _variant_folders(folder)}


def _files(path: Path) -> list[Path]:
    return sorted((file for file in path.glob("*.json") if file.stem.isdecimal()), key=lambda file: int(file.stem))


def _name(folder: Path, path: Path) -> str:
    scale, case, variant = path.relative_to(folder / "runs").parts
    return f"{case}/{variant}" if scale == "fast" else f"{scale}:{case}/{variant}"


def _stored(folder: Path, path: Path) -> StoredVariant:
    files = _files(path)
    runs = [run for run in map(read_whole, files) if run is not None]
    return StoredVariant(
        name=_name(folder, path),
        scale=path.parent.parent.name,
        seeds=tuple(run.seed for run in runs),
        failed=tuple(run.seed for run in runs if run.error is not None),
        seconds=sum(run.seconds for run in runs),
        days=min(map(_age_days, files)),
        n_bytes=sum(file.stat().st_size for file in files),
    )


def _age_days(file: Path) -> float:
    return max(0.0, time.time() - file.stat().st_mtime) / _SECONDS_A_DAY


def _table(folder: Path, variants: Sequence[StoredVariant]) -> Table:
    columns = ("runs of", "seeds", "failed", "seconds", "days old", "kB")
    table = Table(*columns, title=Text(f"runs in {folder}"), title_justify="left")
    for variant in variants:
        numbers = (len(variant.seeds), len(variant.failed) or "", f"{variant.seconds:.1f}", f"{variant.days:.1f}")
        table.add_row(Text(variant.name), *map(str, numbers), f"{variant.n_bytes / 1000:.0f}")
    return table


def _named(folder: Path, name: str, seed: int) -> Run:
    known = _by_name(folder)
    if name not in known:
        raise UsageError(f"the store has no runs of '{name}'; it has: {', '.join(known) or 'none'}")
    run = read_whole(known[name] / f"{seed}.json")
    if run is None:
        seeds = ", ".join(file.stem for file in _files(known[name]))
        raise UsageError(f"the store has no run of '{name}' with seed {seed}; it has the seeds {seeds}")
    return run


def _show(console: Console, run: Run) -> None:
    console.print(Text(f"{run.case}/{run.variant}, seed {run.seed}, {run.seconds:.2f} s", style="bold"))
    for line in _lines(run):
        console.print(Text(line), soft_wrap=True)


def _lines(run: Run) -> Iterator[str]:
    if run.error is not None:
        yield f"failed: {run.error}"
        yield from (f"    {line}" for line in run.output.splitlines())
    yield from (f"{metric}: {number_text(value)}" for metric, value in run.metrics.items())
    if run.history:
        yield f"{len(run.history)} epochs"
    yield f"arguments: {run.exact.get('recipe', {})}"
    yield f"code: {', '.join(run.sources) or 'none of the project'}"
    for kind, names in run.ingredients.items():
        yield f"{kind}: {', '.join(names)}"


def _delete(path: Path, older: float | None) -> int:
    """Delete the runs of a variant, with what lies beside them, and return how many there were."""
    files = [file for file in _files(path) if older is None or _age_days(file) > older]
    for file in files:
        for beside in path.glob(f"{file.stem}.*"):
            shutil.rmtree(beside) if beside.is_dir() else beside.unlink(missing_ok=True)
    return len(files)
