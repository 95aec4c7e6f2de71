"""A bar for anything longer than two seconds: runs done, how long it took, how long it will take."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from goldmark.case import Run


@contextmanager
def training_progress(label: str, total: int) -> Iterator[Callable[[Run], None]]:
    """Show a bar on standard error while runs are trained; yield what is to be called with each finished run."""
    columns = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(TextColumn("{task.description}"), *columns, console=Console(stderr=True)) as progress:
        task = progress.add_task(label, total=total)
        yield lambda run: progress.advance(task)
