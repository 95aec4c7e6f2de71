"""What an experiment may be: a mistake is refused where it is declared, in a line that says what would be right."""

from __future__ import annotations

import pytest

from goldmark import Metric, experiment, steps_to
from goldmark.case import UsageError

X = Metric("x", margin="2%")
FUNCTIONS = {  # source -> what is said
    "def f(seed, **more): pass": "'**more' is not one that variants can name; write each with its default",
    "def f(seed, *more): pass": "'*more' is not one",
    "def f(seed, lr=1, /): pass": "'lr=1' is not one",
    "def f(seed, lr): pass": "argument 'lr' has no default; give it one",
    "def f(seed, sizes=(1, 2)): pass": "argument 'sizes' is (1, 2), which JSON cannot hold; use numbers, texts, lists",
    "def f(): pass": "takes no seed; its first argument is the seed: def f(seed, ...)",
    "def f(*, seed): pass": "takes no seed",
    "def f(seed=0): pass": "takes no seed",
    "async def f(seed): pass": "'f' is asynchronous; let a plain function call it: asyncio.run(f(seed))",
    "async def f(seed): yield {}": "'f' is asynchronous",
    "class f: pass": "'f' is not a function of a module",
    "f = lambda seed: {}": "'<lambda>' is not a function of a module",
}
DECLARATIONS = (  # arguments that differ from those of a right one -> what is said
    ({"seeds": [1, 2]}, "seeds is [1, 2]; give how many seeds"),
    ({"metrics": ()}, "metrics=[Metric('val_rmse', margin='2%')]; it was given none"),
    ({"metrics": X}, "metrics takes a list"),
    ({"metrics": None}, "it was given None"),
    ({"metrics": ["x"]}, "it was given ['x']"),
    ({"metrics": [X, X]}, "metrics names 'x' twice"),
    ({"metrics": [X, steps_to("y", below=1, margin=1)]}, "'steps to y <= 1' follows 'y', which metrics has not; add"),
    ({"data": "digits.csv"}, "data takes a list of names, data=['digits.csv']; it was given 'digits.csv'"),
    ({"environment": "GM_RATE"}, "environment takes a list of names, environment=['GM_RATE']"),
)


def declared(source="def f(seed, *, lr=1.0): pass", **options):
    """The experiment of a function of a module."""
    names = {"__name__": "module"}
    exec(source, names)  # noqa: S102 - of this file
    return experiment(**{"seeds": 2, "metrics": [X], **options})(names["f"])


@pytest.mark.parametrize("source", FUNCTIONS)
def test_a_function_that_no_worker_could_call_is_refused(source) -> None:
    """Its seed comes first, and each other argument has a name and a default that JSON can hold."""
    with pytest.raises(UsageError) as refused:
        declared(source)
    assert FUNCTIONS[source] in str(refused.value)


@pytest.mark.parametrize(("options", "says"), DECLARATIONS)
def test_a_wrong_declaration_is_refused(options, says) -> None:
    """One text is no list of names: each of its letters would be one."""
    with pytest.raises(UsageError) as refused:
        declared(**options)
    assert says in str(refused.value)


def test_a_decorator_without_arguments_is_refused() -> None:
    """With the line to write; one without some of them names what it lacks."""
    with pytest.raises(
        UsageError, match=r"write @experiment\(\.\.\.\) with its arguments above the function, such as @"
    ):

        @experiment
        def trained(seed):
            return {"x": seed}

    with pytest.raises(UsageError, match="seeds is 0; give how many seeds"):
        experiment(metrics=[X])


def test_a_variant_has_variants() -> None:
    """They change what it has changed, and more; one that changes nothing is refused."""
    case = declared("def f(seed, *, lr=1.0, size=8): pass")
    small = case.variant("fast", lr=2.0).variant("fast_small", size=4)
    assert ({"lr": 2.0, "size": 4}, {"size": 4}) == (case.settings_of("fast_small"), small.changes)
    assert ("fast", "fast with size=4", case) == (small.of, small.says, small.case)
    with pytest.raises(UsageError, match="variant 'x' of 'fast_small' changes nothing; name the arguments"):
        small.variant("x")
    with pytest.raises(UsageError, match="experiment 'f' has no argument 'rate'; it has: lr, size"):
        small.variant("x", rate=1)


@pytest.mark.parametrize("name", ["", "../x", "a/b", ".hidden", "a\\b"])
def test_a_variant_has_a_name_that_a_folder_can_have(name) -> None:
    """Its runs and its golden lie there, and nowhere else."""
    with pytest.raises(UsageError, match="folders of its runs and goldens have that name"):
        declared().variant(name, lr=2.0)


def test_what_a_failing_assertion_shows_of_it_is_its_name() -> None:
    """Not every field of every variant."""
    case = declared()
    assert "<experiment f> <variant f/fast>" == f"{case} {case.variant('fast', lr=2.0)}"
