"""A bar for anything longer than two seconds: runs done, how long it took, how long it will take."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text


class _Rate(ProgressColumn):
    """Runs a minute, over the whole time: runs that train as a stack finish together."""

    def render(self, task: Task) -> Text:
        elapsed_s = task.finished_time if task.finished else task.elapsed
        return Text(f"{60 * (task.completed - task.fields['done']) / elapsed_s:.3g}/min" if elapsed_s else "")


@contextmanager
def training_progress(
    label: str, total: int, done: int = 0, *, transient: bool = False
) -> Iterator[Callable[[object], None]]:
    """Show a bar on standard error while runs are trained; yield what is to be called with each finished run.

    A transient bar leaves nothing behind, and is not shown at all where no terminal can take it away again.
    """
    columns = (BarColumn(), MofNCompleteColumn(), _Rate(), TimeElapsedColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    hidden = transient and not console.is_terminal
    with Progress(
        TextColumn("{task.description}"), *columns, console=console, transient=transient, disable=hidden
    ) as progress:
        task = progress.add_task(label, total=total, completed=done, done=done)
        yield lambda run: progress.advance(task)
