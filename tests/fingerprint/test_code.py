"""The hash of code: every change of what it does, and none of how it is written."""

from __future__ import annotations

import ast
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from goldmark.fingerprint import code_hash, sha256

CODE = b"""
RATE = 0.1

def train(seed, rate=RATE, *, warm=True):
    for step in range(10):
        yield {"loss": seed * rate - step if warm else None}
"""


@pytest.mark.parametrize(
    "written",
    [
        b"# a comment\n" + CODE,
        b'"""What the module is."""\n' + CODE,
        CODE.replace(b"    for", b'    """Train."""\n    for'),
        CODE.replace(b"(10)", b"( 10 )"),
        CODE.replace(b"\n", b"\r\n"),
        CODE.replace(b"0.1", b"1e-1"),
    ],
)
def test_what_is_no_code_does_not_count(written):
    """Comments, docstrings, blanks, line ends and how a number is written."""
    assert code_hash(CODE) == code_hash(written)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"0.1", b"0.2"),
        (b"warm=True", b"warm=1"),
        (b"warm=True", b"warm=False"),
        (b"None", b"0"),
        (b"seed * rate - step", b"seed * (rate - step)"),
        (b"*, warm", b"warm"),
        (b"yield", b"return"),
        (b'"loss"', b'b"loss"'),
        (b"range(10)", b"range(10, 10)"),
        (b"rate=RATE", b"rate"),
    ],
)
def test_what_is_code_counts(before, after):
    """A value, a type, a default argument, the order of operations, a keyword."""
    assert before in CODE
    assert code_hash(CODE) != code_hash(CODE.replace(before, after))


def test_docstrings_count_where_they_are_read():
    """Code that reads its own docstrings or sources may do anything with them."""
    reading = b'def f():\n    """%s"""\n    return f.__doc__\n'
    assert code_hash(reading % b"one") != code_hash(reading % b"two")


def test_text_that_is_no_python_has_the_hash_of_its_bytes():
    """A file of an older or newer Python, or a damaged one."""
    assert sha256(b"print 1") == code_hash(b"print 1")


def test_one_thread_parses_at_a_time(monkeypatch):
    """CPython counts the depth of all threads together: two that parse at once may end in a SystemError."""
    parse, at_work, most = ast.parse, [], []

    def noted(source, *arguments, **keywords):
        at_work.append(source)
        most.append(len(at_work))
        time.sleep(0.01)
        at_work.pop()
        return parse(source, *arguments, **keywords)

    with monkeypatch.context() as patched, ThreadPoolExecutor(4) as pool:
        patched.setattr(ast, "parse", noted)
        hashes = set(pool.map(code_hash, [f"x = {number}".encode() for number in range(8)]))
    assert (8, [1] * 8) == (len(hashes), most)
