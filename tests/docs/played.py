"""Play pages of the documentation: write their files, run their commands, compare what these print with the page.

`python tests/docs/played.py docs/tutorial.md examples/digits/README.md` plays each in an empty folder, a README in a
copy of its own. A page that is played writes so, and reads well on its own:

- a block after "`path`:" is that file; a `diff` after "In `path`:" replaces lines of it by others;
- a `console` block runs what stands behind `$`, and what follows is what it prints, with `...` for lines left out and
  `<!-- exit 1 -->` above where the last command fails. Numbers with a point, percentages and rules are not compared;
- `<!-- files of another-page.md -->` writes the files of another page first, with its changes, and runs none of its
  commands.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

_STEP = re.compile(
    r"(?:^(?P<lead>In )?`(?P<path>[\w./-]+)`[^\n`]*:\n\n)?(?:^<!-- exit (?P<status>\d) -->\n)?"
    r"^```(?P<language>\w*)\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
# What differs from machine to machine: numbers with a point or an exponent, percentages, ages, and ruled lines.
_VARIES = re.compile(r"[-+]?\d+\.\d[\d.]*(?:e[-+]?\d+)?|[-+]?\d+e[-+]?\d+|[-+]?\d+(?= (?:%|d\b|margins))")
_RULES = re.compile(r"[\s─━│┃┏┓┗┛┡┩┳╇┴┻└┘├┤┼╞╡=_-]+")
_FILES_OF = re.compile(r"^<!-- files of (?P<page>[\w./-]+) -->$", re.MULTILINE)
_PROGRESS = re.compile(r"goldmark: .* after \d+ s\n")  # "goldmark: training digits: 2 of 12 runs after 2 s"


@dataclass(frozen=True, kw_only=True)
class Step:
    """A file to write, a change to make to one, or commands to run."""

    language: str  # of the block: `console` runs, `diff` changes a file, others are a whole file
    text: str
    path: str  # of the file; empty for commands
    status: int  # with which the last command ends


def steps_of(page: str) -> list[Step]:
    """Return the steps of a page, in order; a block without a file is one only where it is a console."""
    found = (match.groupdict() for match in _STEP.finditer(page))
    return [
        Step(language=step["language"], text=step["text"], path=step["path"] or "", status=int(step["status"] or 0))
        for step in found
        if step["language"] == "console" or step["path"]
    ]


def play(page: Path, folder: Path) -> int:
    """Take the steps of a page in an empty folder and return how many commands ran; raise where the page is wrong."""
    ran, text = 0, page.read_text()
    for other in _FILES_OF.findall(text):
        for step in steps_of((page.parent / other).read_text()):
            _write(step, folder)
    for step in steps_of(text):
        _write(step, folder)
        ran += _run_all(step, folder) if step.language == "console" else 0
    return ran


def _write(step: Step, folder: Path) -> None:
    """Write the file of a step, or change it."""
    if step.language == "diff":
        _change(folder / step.path, step.text)
    elif step.path:
        (folder / step.path).parent.mkdir(parents=True, exist_ok=True)
        (folder / step.path).write_text(step.text)


def _change(path: Path, diff: str) -> None:
    """Replace the lines of a diff that stand in a file by those that it puts there."""
    lines = diff.splitlines()
    old = "\n".join(line[1:] for line in lines if not line.startswith("+"))
    new = "\n".join(line[1:] for line in lines if not line.startswith("-"))
    text = path.read_text()
    if text.count(old) != 1:
        raise AssertionError(f"'{path}' has these lines {text.count(old)} times, and must have them once:\n{old}")
    path.write_text(text.replace(old, new))


def _run_all(step: Step, folder: Path) -> int:
    commands = list(_commands(step.text))
    for number, (command, told) in enumerate(commands, 1):
        wanted = step.status if number == len(commands) else 0
        done = _run(command, folder)
        printed = done.stdout + done.stderr
        if done.returncode != wanted:
            raise AssertionError(f"$ {command}\nexit status {done.returncode}, not {wanted}\n{printed}")
        if told.strip() and not _tells(told, printed):
            raise AssertionError(f"$ {command}\nthe page says\n{told}\nand it printed\n{printed}")
    return len(commands)


def _commands(text: str) -> Iterator[tuple[str, str]]:
    """Return each command with what the page says that it prints."""
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        command, _, told = part.partition("\n")
        yield command, told


def _run(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a command with the programs of this environment, in a terminal that is wide enough for every table."""
    there = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "COV", "PYTHONPATH"))}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    identity = {f"GIT_{who}_{what}": "docs@localhost" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    wide = {**there, **identity, "PATH": path, "COLUMNS": "140"}
    shell = ["bash", "-c", command]  # pages write commands as people type them
    return subprocess.run(shell, cwd=folder, env=wide, capture_output=True, text=True, check=False)


def _tells(told: str, printed: str) -> bool:
    """Tell whether a page tells what was printed: in its order, with `...` for lines that it leaves out."""
    lines = [_alike(line) for line in _PROGRESS.sub("", printed).splitlines()]
    wanted = [_alike(line) for line in told.splitlines()]
    pattern = "".join(r"(?:.*\n)*?" if line == "..." else f"{re.escape(line)}\n" for line in wanted if line)
    return re.fullmatch(pattern, "".join(f"{line}\n" for line in lines if line)) is not None


def _alike(line: str) -> str:
    """Return a line without what differs from machine to machine."""
    return line.strip() if line.strip() == "..." else _RULES.sub(" ", _VARIES.sub("#", line)).strip()


def main(pages: list[str]) -> None:
    """Play the pages one by one, and say how many commands each has and how long they took."""
    for page in map(Path, pages):
        began = time.perf_counter()
        with TemporaryDirectory() as name:
            folder = Path(name).resolve() / page.parent.name
            if page.name == "README.md":
                shutil.copytree(page.parent, folder, ignore=shutil.ignore_patterns(".goldmark", ".nox", "__pycache__"))
                _run("git init -q && git add -A && git commit -q -m 'The project'", folder)
            else:
                folder.mkdir()
            ran = play(page, folder)
        print(f"{page}: {ran} commands, {time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main(sys.argv[1:])
