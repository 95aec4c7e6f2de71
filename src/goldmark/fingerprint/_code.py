"""The hash of what Python code does: comments, docstrings, positions and layout are no part of it."""

from __future__ import annotations

import ast
import hashlib
import threading
from collections.abc import Iterator

_PARSING = threading.Lock()
_DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
_READERS = (b"__doc__", b"getdoc", b"getsource", b"docopt", b"doctest")  # of text that is otherwise no code


def parsed(source: bytes | str) -> ast.Module:
    """Return the syntax tree of Python code; one thread at a time, as CPython loses count where two parse at once.

    Raises `SyntaxError` or `ValueError` where it is none. The lost count is a SystemError, "AST constructor recursion
    depth mismatch" (github.com/python/cpython/issues/106905).
    """
    with _PARSING:
        return ast.parse(source)


def code_hash(source: bytes) -> str:
    """Return the sha256 of the syntax tree of Python code, or of its bytes where they are none.

    Code that names a way to read docstrings or sources keeps its docstrings. The tree is written without empty fields,
    so that it is the same for versions of Python that know of more of them.
    """
    try:
        tree = parsed(source)
    except (SyntaxError, ValueError):
        return hashlib.sha256(source).hexdigest()
    if not any(reader in source for reader in _READERS):
        _drop_docstrings(tree)
    words: list[str] = []
    _write(tree, words)
    return hashlib.sha256(" ".join(words).encode(errors="surrogatepass")).hexdigest()


def statements(node: ast.AST) -> Iterator[ast.AST]:
    """Yield the statements in some code at any depth, and none of the expressions, which are far more."""
    for child in children(node):
        yield child
        yield from statements(child)


def children(node: ast.AST) -> Iterator[ast.AST]:
    """Yield the statements right below a module or a statement."""
    for name in ("body", "orelse", "finalbody", "handlers", "cases"):
        yield from getattr(node, name, ())


def _drop_docstrings(tree: ast.Module) -> None:
    for node in (tree, *statements(tree)):
        if isinstance(node, _DOCUMENTED) and ast.get_docstring(node, clean=False) is not None:
            del node.body[0]


def _write(node: object, words: list[str]) -> None:
    if isinstance(node, ast.AST):
        words.append(f"{type(node).__name__}(")
        for name in node._fields:
            value = getattr(node, name, None)
            if value is not None and value != []:
                words.append(name)
                _write(value, words)
        words.append(")")
    elif isinstance(node, list):
        words.append("[")
        for item in node:
            _write(item, words)
        words.append("]")
    else:
        words.append(f"{type(node).__name__} {node!r}")
