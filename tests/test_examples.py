"""The examples for each framework: what a page shows of them is what `nox -s examples` runs."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
EXAMPLES = sorted((ROOT / "examples" / "frameworks").glob("test_*.py"))


@pytest.mark.parametrize(("name", "example"), [("Watch", "test_lightning.py"), ("Watched", "test_huggingface.py")])
def test_a_class_of_the_documentation_is_that_of_an_example(name, example):
    """Line by line, so that what is documented is what has run."""
    code = re.findall(rf"```python\n(class {name}\(.*?)```", (ROOT / "docs" / "checks.md").read_text(), re.DOTALL)
    assert 1 == len(code)
    assert code[0] in (ROOT / "examples" / "frameworks" / example).read_text()


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_every_example_has_an_experiment_a_guard_and_a_golden(path):
    """A bug that the golden must see is declared as a variant, and `golden.runs` holds the experiment."""
    source = path.read_text()
    assert ast.get_docstring(ast.parse(source))
    guards = set(re.findall(r'guard="(\w+)"', source))
    assert guards
    assert guards == set(re.findall(r'\.variant\("(\w+)"', source))
    assert "golden.runs(" in source
