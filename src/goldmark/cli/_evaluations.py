"""Evaluations of trained models as tables and JSON: numbers as their mean over seeds, words with their counts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from rich.table import Table

from goldmark.case import Case, Run, Runs
from goldmark.cli._tables import folded, number_text, side_by_side, summary

Values = Sequence[float | str]  # one a seed


def evaluation_tables(case: Case[Any], runs: Runs, width: int) -> Iterator[Table]:
    """Yield tables of each section, a row per variant that has it: as many values side by side as the width takes."""
    evaluated = {name: _values_by_seed(trained) for name, trained in runs.items()}
    for section in dict.fromkeys(section for sections in evaluated.values() for section in sections):
        rows = {name: sections[section] for name, sections in evaluated.items() if section in sections}
        columns = [
            [folded(column), *(_cell(values.get(column, ())) for values in rows.values())]
            for column in dict.fromkeys(column for values in rows.values() for column in values)
        ]
        left = {"variant": list(rows), "seeds": [str(len(runs[name])) for name in rows]}
        yield from side_by_side(f"{case.name}: {section}, mean over seeds", left, columns, width)


def evaluations_as_json(runs: Sequence[Run]) -> dict[str, Any]:
    """Return section -> name -> values by seed, with their summary or, of words, their counts."""
    return {
        section: {name: {**_in_short(values), "values": values} for name, values in named.items()}
        for section, named in _values_by_seed(runs).items()
    }


def _values_by_seed(runs: Sequence[Run]) -> dict[str, dict[str, list[float | str]]]:
    """Return section -> name -> the value of every run that has one."""
    collected: dict[str, dict[str, list[float | str]]] = {}
    for run in runs:
        for section, named in run.evaluations.items():
            for name, value in named.items():
                collected.setdefault(section, {}).setdefault(name, []).append(value)
    return collected


def _in_short(values: Values) -> dict[str, Any]:
    numbers = [value for value in values if not isinstance(value, str)]
    if len(numbers) == len(values):
        return dict(summary(numbers))
    return {"counts": dict(sorted(Counter(map(str, values)).items()))}


def _cell(values: Values) -> str:
    if not values:
        return ""
    short = _in_short(values)
    if "counts" in short:
        return "\n".join(f"{word} ({n})" for word, n in short["counts"].items())
    return number_text(short["mean"])
