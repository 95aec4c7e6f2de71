"""Declare an experiment: a training function of a seed, the metrics that it returns, and its variants."""

from __future__ import annotations

import inspect
import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any, cast

from goldmark.case import LOOKS, Case, Claim, Failure, Metric, Run, UsageError, Variant
from goldmark.experiments._obtain import obtain

DEFAULT = "default"  # the variant of the function's own default arguments
Function = Callable[..., Any]
_BY_PLACE = {inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD}
_BY_NAME = {inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD}


@dataclass(frozen=True, kw_only=True, repr=False)
class ExperimentVariant(Variant):
    """A variant whose runs can be read where it is declared."""

    def __repr__(self) -> str:
        """Return its name, and that of its experiment."""
        return f"<variant {self.name}>" if self.case is None else f"<variant {self.case.name}/{self.name}>"

    def runs(self) -> list[Run]:
        """Return its runs, a seed each: those that are there, and where something has changed, newly trained ones."""
        return obtain(self._experiment(), [self.name]).runs

    def variant(self, name: str, says: str = "", /, **changes: Any) -> ExperimentVariant:
        """Declare a variant that departs from this one, and return it.

        Raise `UsageError` without an argument to change, and where `Experiment.variant` would.
        """
        if not changes:
            raise UsageError(f"variant '{name}' of '{self.name}' changes nothing; name the arguments that it changes")
        return _declared(self._experiment(), self.name, name, says, changes)

    def _experiment(self) -> Experiment:
        if self.case is None:
            raise UsageError(f"variant '{self.name}' belongs to no experiment; take it from one: digits.variant(...)")
        return cast("Experiment", self.case)

    def values(self, metric: str) -> dict[int, float]:
        """Return a metric by seed; raise `UsageError` for a metric that it has not, and where a seed failed."""
        runs = self.runs()
        failed = next((run.failure for run in runs if run.failure is not None), None)
        if failed is not None:
            raise UsageError(_told(failed))
        self._experiment().metric(metric)
        return {run.seed: run.metrics[metric] for run in runs}

    def mean(self, metric: str) -> float:
        """Return the mean of a metric over its seeds."""
        return fmean(self.values(metric).values())


@dataclass(frozen=True, kw_only=True, repr=False)
class Experiment(Case[Mapping[str, Any]]):
    """A case whose runs a function makes: `function(seed, **settings)` returns metrics, or yields some every epoch."""

    function: Function
    data: tuple[str, ...] = ()  # files and folders that it reads, where nobody sees it open them
    environment: tuple[str, ...] = ()  # variables of the environment that it may see, beside the usual ones
    own: ExperimentVariant = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "own", self.variant(DEFAULT))

    @property
    def place(self) -> str:
        """The file of the function, in full, or "" where it stands in none, as in an interpreter."""
        file = inspect.getsourcefile(inspect.unwrap(self.function))
        return os.path.abspath(file) if file is not None and Path(file).is_file() else ""  # noqa: PTH100 - with links

    @property
    def returned(self) -> list[str]:
        """Return the names of the metrics that the function gives; those of a curve follow from its history."""
        return [metric.name for metric in self.metrics if metric.curve is None]

    @property
    def followed(self) -> list[str]:
        """Return the names of the metrics whose curves others follow."""
        return sorted({metric.curve.of for metric in self.metrics if metric.curve is not None})

    def __repr__(self) -> str:
        """Return its name, which is all that a failing assertion has to show of it."""
        return f"<experiment {self.name}>"

    def __call__(self, seed: int, **settings: Any) -> Any:
        """Call the function itself, in this process, as if it were no experiment."""
        return self.function(seed, **settings)

    def variant(self, name: str, says: str = "", /, **changes: Any) -> ExperimentVariant:
        """Return the variant of that name; with arguments to change, declare it first.

        Raise `UsageError` for a name that is taken, or unknown, and for an argument that the function has not.
        """
        if changes:
            return _declared(self, DEFAULT, name, says, changes)
        return cast("ExperimentVariant", super().variant(name))  # all its variants are

    def runs(self) -> list[Run]:
        """Return the runs of the function with its own arguments, a seed each."""
        return self.own.runs()

    def values(self, metric: str) -> dict[int, float]:
        """Return a metric of those runs by seed."""
        return self.own.values(metric)

    def mean(self, metric: str) -> float:
        """Return the mean of a metric over those runs."""
        return self.own.mean(metric)


def experiment(
    *function: Function,
    seeds: int = 0,
    metrics: Sequence[Metric] = (),
    data: Iterable[str] = (),
    environment: Iterable[str] = (),
    claims: Iterable[Claim] = (),
    sequential: bool = False,
) -> Callable[[Function], Experiment]:
    """Make a training function of a seed an experiment: a case whose runs it makes.

    The function returns its metrics, or yields a dict of them every epoch; its other arguments have defaults that JSON
    can hold, and variants change them. `metrics` are the rules by which goldens hold its numbers: `guard` names the
    variant whose bug the golden must see. `environment` names variables that the function may see. `sequential` lets
    checks stop at few seeds where these decide.

    A run is read again until something changes that its process was seen to use: code, what Python opens, lists or
    looks for, versions of libraries. `data` names files and folders, relative to the project or in full, that nobody
    sees it use: those that libraries open in C, C++ or Rust (pyarrow and parquet, HDF5, OpenCV, `torch.from_file`),
    those that programs read, those below folders of temporary or hidden files (`~/.cache`), and those of which only
    `os.scandir` tells the size. Times, networks, the number of cores, edits of an installed library that leave its
    version, and docstrings that another file reads cannot be seen at all: train with `--fresh` after they changed.

    Raise `UsageError` without `seeds` or `metrics`, without parentheses, where the function is not one of a module, and
    where an argument has no default, or one that JSON cannot hold.
    """
    if function:
        raise UsageError(
            "write @experiment(...) with its arguments above the function, "
            "such as @experiment(seeds=12, metrics=[Metric('val_rmse', margin='2%')])"
        )
    rules, files, variables = _metrics(metrics), _names("data", data), _names("environment", environment)
    _need_seeds(seeds, sequential=sequential)

    def declare(function: Function) -> Experiment:
        name, says = _name(function), (inspect.getdoc(function) or "").partition("\n")[0]
        guards = {metric.name: metric.guard for metric in rules if metric.guard is not None}
        own = ExperimentVariant(
            name=DEFAULT,
            says="the function's own arguments",
            role="fixed",
            guards=guards,
            gates=tuple(metric.name for metric in rules if metric.margin is not None),
        )
        return Experiment(
            name=name,
            title=name,
            says=says or f"the function {name}",
            settings=_defaults(name, function),
            seeds=seeds,
            variants=(own,),
            metrics=rules,
            claims=tuple(claims),
            sequential=sequential,
            function=function,
            data=files,
            environment=variables,
        )

    return declare


def _declared(case: Experiment, of: str, name: str, says: str, changes: Mapping[str, Any]) -> ExperimentVariant:
    """Give an experiment another variant, which departs from one that it has, and return it."""
    if not name or name.startswith(".") or {"/", "\\"} & set(name):
        raise UsageError(f"a variant cannot be named {name!r}: folders of its runs and goldens have that name")
    if name in [variant.name for variant in case.variants]:
        raise UsageError(f"experiment '{case.name}' has a variant '{name}' already; give this one another name")
    unknown = sorted(set(changes) - set(case.settings))
    if unknown:
        raise UsageError(
            f"experiment '{case.name}' has no argument '{unknown[0]}'; it has: {', '.join(case.settings) or 'none'}"
        )
    _need_json(case.name, changes)
    guarded = [metric.name for metric in case.metrics if metric.guard == name]
    arguments = ", ".join(f"{argument}={value!r}" for argument, value in changes.items())
    variant = ExperimentVariant(
        name=name,
        says=says or f"{'' if of == DEFAULT else f'{of} '}with {arguments}",
        role="broken" if guarded else "option",
        of=of,
        changes=dict(changes),
        gates=case.variants[0].gates,
        seen_by=guarded[0] if guarded else "none",
    )
    object.__setattr__(case, "variants", (*case.variants, variant))  # they are declared one by one
    return case.variant(name)


def _told(failed: Failure) -> str:
    """Return what stopped a run and the end of what it printed; numbers of such a run would mean nothing."""
    head = f"{failed.case}/{failed.variant}, seed {failed.seed}: {failed.error}"
    lines = failed.last_lines
    return "\n".join([f"{head}; it printed at last:" if lines else head, *(f"  {line}" for line in lines)])


def _need_seeds(seeds: int, *, sequential: bool) -> None:
    """Raise `UsageError` for what is no number of seeds, and for fewer than a sequential check looks at."""
    if type(seeds) is not int or seeds < 1:
        raise UsageError(f"seeds is {seeds!r}; give how many seeds the experiment trains with, such as 12")
    if sequential and seeds < LOOKS[-1]:
        raise UsageError(
            f"seeds is {seeds}; a sequential check looks at up to {LOOKS[-1]}: give as many, or leave it out"
        )


def _metrics(metrics: Sequence[Metric]) -> tuple[Metric, ...]:
    """Return the metrics; raise `UsageError` for what is none, for one that comes twice, and for guards of values."""
    wanted = "metrics takes a list, metrics=[Metric('val_rmse', margin='2%')]"
    if not isinstance(metrics, list | tuple) or not all(isinstance(metric, Metric) for metric in metrics):
        raise UsageError(f"{wanted}; it was given {metrics!r}")
    names = [metric.name for metric in metrics]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice or not names:
        raise UsageError(f"metrics names '{twice}' twice" if twice else f"{wanted}; it was given none")
    for metric in metrics:
        if metric.curve is not None and metric.curve.of not in names:
            of = metric.curve.of
            raise UsageError(f"'{metric.name}' follows '{of}', which metrics has not; add Metric('{of}', margin=None)")
        if not (metric.guard is None or isinstance(metric.guard, str)):
            raise UsageError(f"the guard of '{metric.name}' is {metric.guard!r}; name a variant: guard='raw_inputs'")
    return tuple(metrics)


def _names(argument: str, names: Iterable[str]) -> tuple[str, ...]:
    """Return the names; raise `UsageError` for one text, of which each letter would be a name, and for what is none."""
    given = [names] if isinstance(names, str | os.PathLike) else list(names)
    if isinstance(names, str) or not all(isinstance(name, str) for name in given):
        texts = ", ".join(repr(str(name)) for name in given)
        raise UsageError(f"{argument} takes a list of names, {argument}=[{texts}]; it was given {names!r}")
    return tuple(given)


def _name(function: Function) -> str:
    """Return the name of a function of a module; raise `UsageError` for another one: no worker could import it."""
    name = getattr(function, "__qualname__", repr(function))
    if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
        raise UsageError(f"'{name}' is asynchronous; let a plain function call it: asyncio.run({name}(seed))")
    if "<" in name or "." in name or not inspect.isfunction(function):
        raise UsageError(f"'{name}' is not a function of a module, which a worker could import; define it at the top")
    return name


def _defaults(name: str, function: Function) -> dict[str, Any]:
    """Return the arguments of a function with their defaults, but for the seed."""
    parameters = list(inspect.signature(function).parameters.values())
    own = [p for p in parameters[:1] if p.kind in _BY_PLACE and p.default is inspect.Parameter.empty]
    if not own:
        raise UsageError(f"experiment '{name}' takes no seed; its first argument is the seed: def {name}(seed, ...)")
    for parameter in parameters[1:]:
        if parameter.kind not in _BY_NAME:
            raise UsageError(
                f"experiment '{name}': argument '{parameter}' is not one that variants can name; write each "
                f"with its default: def {name}(seed, *, lr=0.01)"
            )
        if parameter.default is inspect.Parameter.empty:
            raise UsageError(f"experiment '{name}': argument '{parameter.name}' has no default; give it one")
    settings = {parameter.name: parameter.default for parameter in parameters[1:]}
    _need_json(name, settings)
    return settings


def _need_json(name: str, settings: Mapping[str, Any]) -> None:
    """Raise `UsageError` for an argument that is another one after it was written as JSON."""
    for argument, value in settings.items():
        try:
            same = json.loads(json.dumps(value, allow_nan=False)) == value
        except (TypeError, ValueError):
            same = False
        if not same:
            raise UsageError(
                f"experiment '{name}': argument '{argument}' is {value!r}, which JSON cannot hold; use numbers, texts, "
                "lists and dicts, such as the name of what is meant"
            )
