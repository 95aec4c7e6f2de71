"""The player of pages fails where a page says what is not so, and the pages that can be played are."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from docs.played import play, steps_of

ROOT = Path(__file__).parents[2]
PAGE = """
`notes/a.txt`:

```
one
two
```

In `notes/a.txt`:

```diff
 one
-two
+three
```

<!-- exit 1 -->
```console
$ cat notes/a.txt
one
three
$ echo "took 1.5 s"; echo "and more"; exit 1
took 0.2 s
...
```
"""


@pytest.fixture
def played(tmp_path):
    """`played(text)`: play a page of that text, and return how many commands ran."""

    def run(text):
        (tmp_path / "page.md").write_text(text)
        return play(tmp_path / "page.md", tmp_path)

    return run


def test_page_is_played(played, tmp_path):
    """Files are written and changed, commands run; numbers that vary and lines left out are not compared."""
    assert 2 == played(PAGE)
    assert "one\nthree\n" == (tmp_path / "notes" / "a.txt").read_text()


def test_page_goes_on_with_the_files_of_another(played, tmp_path):
    """They are written and changed as that page says, and its commands are not run."""
    (tmp_path / "first.md").write_text(PAGE + "\n```console\n$ touch ran\n```\n")
    assert 1 == played("<!-- files of first.md -->\n\n```console\n$ cat notes/a.txt\none\nthree\n```\n")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ("three\n$", "four\n$", "the page says"),  # another line
        ("$ cat notes/a.txt\none\n", "$ cat notes/a.txt\n", "the page says"),  # a line that it does not have
        ("exit 1 -->", "exit 2 -->", "exit status 1, not 2"),
        ("cat notes", "cat no_notes", "exit status 1, not 0"),
        ("-two", "-no such line", "has these lines 0 times"),
        ("took 0.2 s", "took 2 s", "the page says"),  # whole numbers are compared
    ],
)
def test_wrong_page_fails(played, before, after, told):
    """Whatever is not so is said with what was printed."""
    assert before in PAGE
    with pytest.raises(AssertionError, match=told):
        played(PAGE.replace(before, after))


def test_every_page_with_commands_is_played():
    """A page with a console block stands in the noxfile, for the session whose environment it needs."""
    pages = [*(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").glob("*/README.md")]
    with_commands = {
        str(page.relative_to(ROOT))
        for page in pages
        if any(step.language == "console" for step in steps_of(page.read_text()))
    }
    tree = ast.parse((ROOT / "noxfile.py").read_text())
    lists = {
        ast.unparse(node.targets[0]): ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]).startswith("PLAYED")
    }
    assert with_commands == {page for pages in lists.values() for page in pages}


def test_links_between_pages_lead_to_files():
    """They hold on the repository's web page; that they do in the site is what `nox -s docs` asks."""
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").glob("*/README.md")]
    links = [
        (page, target)
        for page in pages
        for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text())
        if not target.startswith("http")
    ]
    assert len(links) > 20
    assert [] == [(str(page), target) for page, target in links if not (page.parent / target).exists()]
