"""A stale hit is the one fault that must not happen: every ingredient of a run of a real process is changed in turn."""

from __future__ import annotations

import importlib
import os
import py_compile
import shutil
import sys
from contextlib import contextmanager
from types import SimpleNamespace

import numpy as np
import pytest
from safetensors.numpy import save_file

from goldmark._session import Session
from goldmark.experiments._worker import Worker
from goldmark.runs import _ingredients, reusable, store_path, write_run
from goldmark.runs._ingredients import changed

PROJECT = {
    "observed_digits.py": """
        from goldmark import Metric, experiment

        RMSE = Metric("rmse", margin=None)

        @experiment(seeds=2, metrics=[RMSE], data=["blob.bin", "images"], environment=["GM_RATE"])
        def observed_digits(seed, *, lr=0.1):
            import observed_training
            return {"rmse": observed_training.train(seed, lr)}
        """,
    "observed_training.py": """
        import ctypes, glob, importlib.util, linecache, multiprocessing, os, sqlite3, sys
        from pathlib import Path
        import numpy as np
        import observed_elsewhere
        import safetensors.numpy
        import observed_library
        import observed_stale
        from observed_package import near
        try:
            import observed_fast_math
        except ImportError:
            pass
        os.environ["CUBLAS_WORKSPACE_CONFIG"] = ":4096:8"
        sys.path.insert(0, "vendored")
        import observed_vendored
        with os.scandir("listed") as entries:
            LISTED = sorted(entry.name for entry in entries)
        spec = importlib.util.spec_from_file_location("plugin", Path(__file__).parent / "plugins" / "plugin.py")
        plugin = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(plugin)

        def read(name):
            return float(Path(name).read_text())

        def train(seed, lr):
            total = near.step(1) + plugin.OFFSET + read("data/opened.txt") + np.loadtxt("data/table.csv").sum()
            ctypes.CDLL(None).open(b"blob.bin", 0)
            total += len(glob.glob("globbed/*.txt")) + len(LISTED) + os.path.exists("resume.txt")
            total += observed_stale.VALUE
            total += Path("data/looked_at.txt").stat().st_size
            total += os.path.getsize("data/sized.txt") + os.path.isfile("data/found.txt")
            total += os.access("data/accessed.txt", os.R_OK) + len(os.readlink("latest"))
            total += float(linecache.getline("data/line.txt", 1)) + len(os.listdir(os.open("by_number", os.O_RDONLY)))
            total += read(Path(observed_elsewhere.__file__).with_name("far.txt"))
            total += safetensors.numpy.load_file("data/weights.safetensors")["w"].sum()
            safetensors.numpy.save_file({"w": np.ones(1) * seed}, "out.safetensors")
            total += safetensors.numpy.load_file("out.safetensors")["w"].sum() - seed
            Path("out.txt").write_text("1")
            total += read("out.txt")
            try:
                total += read("data/optional.txt")
            except FileNotFoundError:
                pass
            sqlite3.connect("data/rows.db").execute("select * from sqlite_master").fetchall()
            sqlite3.connect("file:data/uri.db?mode=ro", uri=True).execute("select * from sqlite_master").fetchall()
            for method, name in (("fork", "data/forked.txt"), ("spawn", "data/spawned.txt")):
                process = multiprocessing.get_context(method).Process(target=read, args=(name,))
                process.start()
                process.join()
            os.close(os.open("globbed", os.O_RDONLY))
            os.chdir("data")
            if seed == 98:
                os.system("true")
            if seed == 99:
                os.utime("opened.txt")
            return total
        """,
    "observed_package/__init__.py": "",
    "observed_package/near.py": "from . import far\n\ndef step(x):\n    return far.scaled(x)\n",
    "observed_package/far.py": '''
        """What it does."""
        SCALE = 3

        def scaled(x, by=2):
            """Scale."""
            return SCALE * by * x  # a reason
        ''',
    "plugins/plugin.py": "OFFSET = 1\n",
    "vendored/observed_vendored.py": "VALUE = 1\n",
    "observed_stale.py": "VALUE = 5000\n",
    "data/opened.txt": "1",
    "data/table.csv": "1 2\n3 4\n",
    "data/looked_at.txt": "12",
    "data/forked.txt": "1",
    "data/spawned.txt": "1",
    "data/weights.safetensors": "",
    "data/rows.db": "",
    "data/uri.db": "",
    "data/sized.txt": "1",
    "data/found.txt": "1",
    "data/line.txt": "1",
    "by_number/a.txt": "1",
    "blob.bin": "1",
    "images/a/1.png": "1",
    "globbed/a.txt": "1",
    "listed/a.txt": "1",
    "unrelated.txt": "1",
    "unrelated.py": "1",
}
LIBRARY = {
    "observed_library/__init__.py": "",
    "observed_library-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: observed-library\nVersion: 1.0\n",
    "observed_library-1.0.dist-info/top_level.txt": "observed_library\n",
}


def write(folder, files):
    """Write texts as files, without the margin that they have here."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = text.strip("\n").splitlines() if text.startswith("\n") else text.splitlines()
        margin = len(lines[0]) - len(lines[0].lstrip()) if lines else 0
        path.write_text("\n".join(line[margin:] for line in lines) + "\n" if lines else text)


def make_stale(file):
    """Compile a module of which a text of the same length and time follows: Python itself runs the old one."""
    text, state = file.read_text(), file.stat()
    file.write_text(text.replace("5000", "7000"))
    os.utime(file, ns=(state.st_atime_ns, state.st_mtime_ns))
    py_compile.compile(str(file))
    file.write_text(text)
    os.utime(file, ns=(state.st_atime_ns, state.st_mtime_ns))


def look_again():
    """Forget what this process has looked up once and for all, as a new session would."""
    importlib.invalidate_caches()
    for looked_up in (_ingredients.found_place, _ingredients.specification_of, _ingredients.version_of):
        looked_up.cache_clear()


@contextmanager
def edited(path, text):
    """Let a file hold another text, or be there where it was not, or be gone for None; then put it back."""
    before = path.read_bytes() if path.exists() else None
    path.parent.mkdir(exist_ok=True)
    path.unlink() if text is None else path.write_text(text)
    look_again()
    yield
    path.unlink(missing_ok=True) if before is None else path.write_bytes(before)
    look_again()  # the clock of a file system may not tell the two states apart


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A project with its installed library, its run of seed 0, and runs of seeds in which it did what it should not."""
    root = tmp_path_factory.mktemp("project").resolve()
    site = tmp_path_factory.mktemp("installed") / "site-packages"
    write(root, PROJECT)
    write(site, LIBRARY)
    elsewhere = tmp_path_factory.mktemp("elsewhere").resolve()
    write(elsewhere, {"observed_elsewhere.py": "VALUE = 1\n", "far.txt": "1"})
    save_file({"w": np.ones(2)}, root / "data" / "weights.safetensors")
    (root / "latest").symlink_to("data")
    make_stale(root / "observed_stale.py")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(elsewhere))
        patch.syspath_prepend(str(site))
        patch.syspath_prepend(str(root))
        patch.setenv("GM_RATE", "1")
        patch.setenv("TMPDIR", str(tmp_path_factory.mktemp("temporary")))  # what lies there is no data of a project
        _ingredients.distributions.cache_clear()
        case = importlib.import_module("observed_digits").observed_digits
        worker = Worker(case, root)
        try:
            runs = {seed: worker.train("default", seed) for seed in (0, 1, 98, 99)}
        finally:
            worker.close()
        look_again()
        yield SimpleNamespace(case=case, root=root, site=site, elsewhere=elsewhere, runs=runs, run=runs[0])
    _ingredients.distributions.cache_clear()
    del sys.modules["observed_digits"]


def test_an_unchanged_run_can_be_read(project):
    """Nothing has changed: not for the first seed of a worker, nor for the next, which opened less by itself."""
    assert (None, None) == (project.run.error, changed(project.run, project.root)), project.run.output
    assert changed(project.runs[1], project.root) is None
    assert {**project.run.ingredients["files"]} == {**project.runs[1].ingredients["files"]}


def test_the_store_gives_a_run_until_something_has_changed(project):
    """A later session reads it, with all that it held, and says why where it may not."""
    session = Session(root=project.root, folder=project.elsewhere / "store")
    write_run(store_path(session, project.case, "default", 0), project.run)
    assert (project.run, "") == reusable(session, project.case, "default", 0)
    with edited(project.root / "data" / "forked.txt", "2"):
        assert (None, "data/forked.txt changed") == reusable(session, project.case, "default", 0)


def test_code_is_run_as_it_is_written(project):
    """Not as a cache of it holds it, which Python takes for the same where time and size are."""
    assert 5000 < project.run.metrics["rmse"] < 6000


def test_code_elsewhere_that_is_not_installed_is_an_ingredient(project):
    """Another project that is worked on at the same time has no version that would tell."""
    file = project.elsewhere / "observed_elsewhere.py"
    with edited(file, "VALUE = 2\n"):
        assert changed(project.run, project.root) == f"{file} changed"


def test_data_elsewhere_are_an_ingredient(project):
    """What Python opens outside of the project counts, too, where it is no file of the system or of an installation."""
    file = project.elsewhere / "far.txt"
    with edited(file, "2"):
        assert changed(project.run, project.root) == f"{file} changed"


def test_a_link_that_leads_elsewhere_is_named(project):
    """Where it leads is what the run has read of it."""
    link = project.root / "latest"
    link.unlink()
    link.symlink_to("images")
    assert changed(project.run, project.root) == "latest changed"
    link.unlink()
    link.symlink_to("data")


def test_a_file_whose_time_was_set_back_has_changed(project):
    """Also for a process that has looked at it before: the same size and time are no proof."""
    file = project.root / "data" / "opened.txt"
    assert changed(project.run, project.root) is None
    state = file.stat()
    with edited(file, "2"):
        os.utime(file, ns=(state.st_atime_ns, state.st_mtime_ns))
        assert changed(project.run, project.root) == "data/opened.txt changed"


EDITS = {  # what is edited -> its new text, None where it is deleted, and what is said of that
    "observed_package/far.py": ("SCALE = 4\n\ndef scaled(x, by=2):\n    return SCALE * by * x\n", "{} changed"),
    "observed_package/far.py ": ("SCALE = 3\n\ndef scaled(x, by=3):\n    return SCALE * by * x\n", "{} changed"),
    "observed_package/near.py": ("from . import far\n\ndef step(x):\n    return -far.scaled(x)\n", "{} changed"),
    "observed_package/__init__.py": ("import warnings\n", "{} changed"),
    "observed_digits.py": ("observed_digits = None\n", "{} changed"),
    "plugins/plugin.py": ("OFFSET = 2\n", "{} changed"),
    "vendored/observed_vendored.py": ("VALUE = 2\n", "{} changed"),
    "vendored/observed_library.py": ("", "module observed_library is another file now"),
    "data/opened.txt": ("2", "{} changed"),
    "data/table.csv": ("1 2\n3 5\n", "{} changed"),
    "data/rows.db": ("2", "{} changed"),
    "data/weights.safetensors": ("2", "{} changed"),
    "data/uri.db": ("2", "{} changed"),
    "data/sized.txt": ("123", "{} changed"),
    "data/found.txt": (None, "{} is gone"),
    "data/accessed.txt": ("1", "{} is there now"),
    "data/line.txt": ("2", "{} changed"),
    "by_number/b.txt": ("1", "folder by_number has other files"),
    "data/forked.txt": ("2", "{} changed"),
    "data/spawned.txt": ("2", "{} changed"),
    "data/opened.txt ": (None, "{} is gone"),
    "data/looked_at.txt": (None, "{} is gone"),
    "data/optional.txt": ("1", "{} is there now"),
    "resume.txt": ("1", "{} is there now"),
    "blob.bin": ("2", "{} changed"),
    "blob.bin ": (None, "{} is gone"),
    "images/a/1.png": ("2", "images changed"),
    "images/b/2.png": ("2", "images changed"),
    "globbed/b.txt": ("1", "folder globbed has other files"),
    "listed/b.txt": ("1", "folder listed has other files"),
    "observed_fast_math.py": ("", "module observed_fast_math is there now"),
    "observed_library.py": ("", "module observed_library is another file now"),
    "numpy.py": ("", "module numpy is another file now"),
    "random.py": ("", "module random is another file now"),
    "observed_training/__init__.py": ("", "module observed_training is another file now"),
}


@pytest.mark.parametrize("name", EDITS)
def test_every_change_is_named(project, name):
    """Whatever the run was made of is changed in turn: what has changed stands in the reason."""
    text, why = EDITS[name]
    with edited(project.root / name.strip(), text):
        assert why.format(name.strip()) == changed(project.run, project.root)
    shutil.rmtree(project.root / "observed_training", ignore_errors=True)
    shutil.rmtree(project.root / "images" / "b", ignore_errors=True)


def test_another_version_of_a_library_is_named(project):
    """A library is looked at by its version alone."""
    metadata = project.site / "observed_library-1.0.dist-info" / "METADATA"
    with edited(metadata, LIBRARY["observed_library-1.0.dist-info/METADATA"].replace("1.0", "1.1")):
        assert changed(project.run, project.root) == "observed-library 1.0 -> 1.1"


@pytest.mark.parametrize(("variable", "value"), [("GM_RATE", "2"), ("GM_RATE", None), ("CUDA_VISIBLE_DEVICES", "5")])
def test_another_environment_is_named(project, monkeypatch, variable, value):
    """A variable that the experiment names, and one of those that change numbers; values are never stored."""
    monkeypatch.delenv(variable) if value is None else monkeypatch.setenv(variable, value)
    assert changed(project.run, project.root) == f"{variable} changed"
    assert len(project.run.ingredients["environment"]["GM_RATE"]) == 64


FAR = PROJECT["observed_package/far.py"].replace("What it does.", "What it did.").replace("a reason", "another one")
INNOCENT = {
    "observed_package/far.py": "\n".join(line[8:] for line in FAR.splitlines()),
    "unrelated.txt": "2",
    "data/found.txt": "123",
    "unrelated.py": "2",
    "unrelated_new.py": "2",
    "out.txt": "2",
    "out.safetensors": "2",
    "data/new.txt": "2",
    "data/__pycache__/new.pyc": "2",
    "globbed/.coverage": "2",
}


@pytest.mark.parametrize("name", INNOCENT)
def test_nothing_is_said_of_what_cannot_change_it(project, monkeypatch, name):
    """A docstring, a comment, a variable that is not listed, a file that it did not open, one that it wrote itself."""
    monkeypatch.setenv("GM_OTHER", "2")
    with edited(project.root / name, INNOCENT[name]):
        assert changed(project.run, project.root) is None


def test_a_run_that_starts_programs_is_reused_with_named_data_alone(project):
    """Nobody sees what a program reads: the experiment names data, and has to."""
    assert changed(project.runs[98], project.root) is None


def test_a_run_is_not_reused_where_its_data_changed_while_it_trained(project):
    """The file was touched after it was read: nobody can tell which state went into the run, which counts as a run."""
    assert project.runs[99].error is None
    assert changed(project.runs[99], project.root) == "data/opened.txt changed while it trained"
    assert os.environ["GM_RATE"] == "1"
