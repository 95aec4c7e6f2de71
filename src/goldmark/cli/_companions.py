"""Files beside that of `--data`: an option for each companion that a case of the catalogue declares."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from goldmark.case import Case, ModelCase, UsageError, installed
from goldmark.cases import CASES


class CommandWithCompanions(click.Command):
    """A command with an option for each companion, after --data; the cases are loaded when it is asked for them."""

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """Return the parameters of the command, those of the companions included."""
        parameters = super().get_params(ctx)
        place = 1 + next(i for i, parameter in enumerate(parameters) if parameter.name == "data")
        return [*parameters[:place], *map(_option, _names()), *parameters[place:]]


def _names() -> list[str]:
    cases = CASES.values() if installed("torch") else ()  # no case of the catalogue can run without it
    return list(dict.fromkeys(name for case in cases for name in case.companions))


def _option(name: str) -> click.Option:
    holds = "; ".join(f"{case.name}: {case.companions[name]}" for case in CASES.values() if name in case.companions)
    return click.Option([_flag(name), name], type=click.Path(path_type=Path), help=f"Beside --data. {holds}.")


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def given_companions(asked: Mapping[str, Any]) -> dict[str, Path]:
    """Return the companions among the values of a command's options."""
    return {name: asked[name] for name in _names() if asked[name] is not None}


def need_takers(cases: Sequence[Case[Any]], companions: Mapping[str, Path], *, data: bool) -> None:
    """Raise `UsageError` where a companion is given without --data, or to a case that does not take it."""
    for name, path in companions.items():
        if not data:
            raise UsageError(f"{_flag(name)} {path}: it goes with a file of your own; name that with --data FILE")
        for case in cases:
            if not isinstance(case, ModelCase) or name not in case.companions:
                takers = ", ".join(taker for taker, other in CASES.items() if name in other.companions)
                raise UsageError(f"{_flag(name)} {path}: case '{case.name}' takes none; it goes with: {takers}")
