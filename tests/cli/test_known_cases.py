"""Which cases commands know: the catalogue's, those of installed packages, those of the project around."""

from __future__ import annotations

from dataclasses import replace

import pytest

from goldmark import UsageError
from goldmark.cases import CASES
from goldmark.cli._known_cases import cases_named, every_case
from goldmark.golden._defaults import Defaults
from goldmark.golden._project import Project

EXPERIMENT = """
from goldmark import Metric, experiment

@experiment(seeds=3, metrics=[Metric("loss", margin=0.1)])
def NAME(seed, *, rate=0.1):
    return {"loss": rate * seed}
"""


@pytest.fixture
def package(tmp_path, monkeypatch):
    """`package(name, case, module=...)`: a package, as it would be installed, that adds a case."""

    def install(name, case, module=None, text=None):
        place = tmp_path / "site"
        info = place / f"{name}-1.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[goldmark.cases]\n{case} = {module or name}:{case}\n")
        (place / f"{name}.py").write_text(text or EXPERIMENT.replace("NAME", case))
        monkeypatch.syspath_prepend(str(place))

    return install


@pytest.fixture
def project(tmp_path):
    """`project(*entries)`: a project whose pytest configuration names those cases."""

    def named(*entries):
        return Project(root=tmp_path, folder=tmp_path / "golden", budget=None, case_entries=entries)

    return named


def write(tmp_path, module, case):
    """Write a module of the project with an experiment."""
    (tmp_path / f"{module}.py").write_text(EXPERIMENT.replace("NAME", case))


def test_catalogue_is_known_everywhere(project):
    """Without a project's own cases they are all that is run."""
    assert list(CASES) == [case.name for case in cases_named((), project())]
    assert ["eeg"] == [case.name for case in cases_named(["eeg", "eeg"], project())]


def test_package_adds_a_case(package, project):
    """By an entry point, named or with all others."""
    package("kc_added", "kc_digits")
    assert ["kc_digits"] == [case.name for case in cases_named(["kc_digits"], project())]
    assert [*CASES, "kc_digits"] == [case.name for case in cases_named((), project())]


def test_project_has_its_own(tmp_path, package, project, monkeypatch):
    """They are what a command without names takes; `list` shows the others too."""
    package("kc_added2", "kc_waves")
    write(tmp_path, "kc_own", "kc_lines")
    monkeypatch.syspath_prepend(str(tmp_path))
    own = project("kc_own:kc_lines")
    assert ["kc_lines"] == [case.name for case in cases_named((), own)]
    assert ["kc_waves", "roast"] == [case.name for case in cases_named(["kc_waves", "roast"], own)]
    assert [*CASES, "kc_waves", "kc_lines"] == [case.name for case in every_case(own)]


def test_package_may_be_a_project_with_its_own_case(package, project):
    """Named by its entry point and by its configuration, it is one case, by the rules of the project around."""
    package("kc_added5", "kc_both", text=EXPERIMENT.replace("NAME", "kc_both").replace(", margin=0.1", ""))
    own = replace(project("kc_added5:kc_both"), defaults=Defaults(margin="2%"))
    assert ["2%"] == [case.metrics[0].margin for case in cases_named((), own)]
    elsewhere = replace(own, case_entries=(), defaults=Defaults(margin=0.5))
    assert [0.5] == [case.metrics[0].margin for case in cases_named(["kc_both"], elsewhere)]
    with pytest.raises(UsageError, match="'loss' of 'kc_both' has no margin; name the change that nobody minds"):
        cases_named(["kc_both"], project())


def test_unknown_name_says_which_there_are(tmp_path, project, monkeypatch):
    """Those of the project first, and how it names more."""
    write(tmp_path, "kc_own2", "kc_lines2")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(UsageError, match="there is no case 'kc_line'; there are: kc_lines2, roast, .*goldmark_cases ="):
        cases_named(["kc_line"], project("kc_own2:kc_lines2"))


def test_name_of_two_cases_is_refused(tmp_path, package, project, monkeypatch):
    """Whoever has them: project and catalogue, package and catalogue, two packages, project and package."""
    write(tmp_path, "kc_own3", "roast")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(UsageError, match="goldmark_cases names a case 'roast', as the catalogue has; give it another"):
        cases_named((), project("kc_own3:roast"))
    write(tmp_path, "kc_own4", "kc_same")
    package("kc_added3", "kc_same")
    with pytest.raises(UsageError, match="goldmark_cases names a case 'kc_same', as package kc_added3 adds; give it"):
        cases_named((), project("kc_own4:kc_same"))
    package("kc_added4", "kc_same")
    with pytest.raises(UsageError, match="two packages add a case 'kc_same': package kc_added. and package kc_added"):
        cases_named((), project())


def test_name_of_the_catalogue_is_refused_without_torch(tmp_path, project, monkeypatch):
    """The clash of names is what is said: no case of the catalogue is loaded for it."""
    write(tmp_path, "kc_own6", "roast")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr("goldmark.cli._known_cases.installed", lambda library: False)
    monkeypatch.setattr("goldmark.cases._Catalogue.__getitem__", lambda catalogue, name: 1 / 0)
    with pytest.raises(UsageError, match="goldmark_cases names a case 'roast', as the catalogue has; give it another"):
        cases_named((), project("kc_own6:roast"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"text": "import no_such_thing"}, "package kc_bad adds case 'kc_case' as 'kc_bad:kc_case', and: No module"),
        ({"text": "kc_case = 3"}, "package kc_bad adds 'kc_bad:kc_case', which is a int and no case"),
        (
            {"text": EXPERIMENT.replace("NAME", "kc_other") + "\nkc_case = kc_other"},
            "package kc_bad adds case 'kc_other' under the name 'kc_case'; make them the same",
        ),
    ],
)
def test_case_that_cannot_be_loaded_is_one_clear_line(package, project, monkeypatch, changes, message):
    """The package, what it says, and what is wrong; the other cases are known all the same."""
    monkeypatch.delitem(__import__("sys").modules, "kc_bad", raising=False)
    package("kc_bad", "kc_case", **changes)
    with pytest.raises(UsageError, match=message):
        cases_named(["kc_case"], project())
    assert ["eeg"] == [case.name for case in cases_named(["eeg"], project())]
