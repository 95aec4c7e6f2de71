"""The project's commands: `nox -s fast` before each push; `nox -l` lists the rest."""

from __future__ import annotations

import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

import nox

nox.options.sessions = ["fast"]
nox.options.default_venv_backend = "virtualenv"
nox.options.reuse_venv = "yes"

LINTED = ["src", "tests", "examples", "docs/conf.py", "noxfile.py"]
BENCHES = ("golden", "engine", "logs", "start", "checks", "experiments")
BENCH = [*(f"tests/bench/bench_{name}.py" for name in BENCHES), "-p", "no:randomly", "-s"]
OLDEST_TORCH = "torch==2.4.0"  # the first whose fused AdamW runs on a CPU; as in pyproject.toml
TEXTS = ["tests/golden/compare/test_texts.py", "tests/cli/test_help.py", "tests/cli/test_run.py"]  # held by syrupy
FRAMEWORKS = [
    "lightning>=2.6",
    "transformers>=5",
    "accelerate",
    "scikit-learn>=1.5",
    "jax[cpu]",
]  # of examples/frameworks
SITE = ["sphinx", "myst-parser", "furo", "sphinx-click"]  # builds the documentation
PLAYED = [  # pages that a user without torch follows, word by word
    "docs/tutorial.md",
    "docs/how-to/a-golden-for-your-loop.md",
    "docs/how-to/a-case-of-your-own.md",
    "docs/how-to/an-alarm.md",
    "docs/how-to/many-seeds-cheaply.md",
    "examples/digits/README.md",
]
PLAYED_ALONE = ["docs/how-to/ci.md", "docs/how-to/merging.md"]  # which need nothing but goldmark
PLAYED_WITH_TORCH = ["docs/how-to/a-model-case.md", "docs/how-to/checks-without-a-golden.md"]
FRAMEWORK_BUGS = {  # by example: what goes wrong in its training code, and how
    "plain_loop": ("optimizer.zero_grad()", "pass"),
    "lightning": ("lr=0.3)", "lr=0.003)"),
    "huggingface": ('"learning_rate": 3e-3', '"learning_rate": 3e-6'),
    "sklearn": ('if selects == "within each fold"', "if not selects"),
    "jax": ("weight - lr * gradient", "weight - 0.1 * lr * gradient"),
}
ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


def install(session: nox.Session) -> None:
    """Install the package and the development tools at the versions that the goldens were made with."""
    session.install("-c", "constraints.txt", "-e", ".[dev]")


def pytest(session: nox.Session, *arguments: str) -> None:
    """Run pytest with one thread a process; what follows `--` on nox's command line comes last and wins.

    Byte code is kept also where the environment says otherwise: each process would compile every test again.
    """
    session.run("pytest", *arguments, *session.posargs, env={**ONE_THREAD, "PYTHONDONTWRITEBYTECODE": ""})


@nox.session
def fast(session: nox.Session) -> None:
    """Run every test but the slow, the four documented bugs included, in random order on all cores.

    A long test that passed before is not repeated while no file and nothing installed has changed (tests/unchanged.py).
    """
    install(session)
    pytest(session, "-n", "logical", "--durations", "10", "--skip-unchanged")


@nox.session
def gpu_full(session: nox.Session) -> None:
    """Train the full matrices on a GPU; without one: nox -s gpu_full -- --device cpu --scale smoke."""
    install(session)
    session.run("goldmark", "matrix", *session.posargs, env=ONE_THREAD)


@nox.session
def gpu_check(session: nox.Session) -> None:
    """Try every shape of the full matrices on a GPU, and print what a step takes and what all runs would."""
    install(session)
    session.run("pytest", "tests/gpu", "-p", "no:randomly", env=ONE_THREAD)
    session.run("python", "tests/gpu/seconds_a_step.py", *session.posargs, env=ONE_THREAD)


@nox.session(python=["3.11", "3.12"])
def oldest(session: nox.Session) -> None:
    """Run the engine's tests on the oldest torch that the project promises; it downloads some gigabytes."""
    session.install("-e", ".[dev]", OLDEST_TORCH)
    pytest(session, "tests/training", "tests/cases", "-n", "logical")


@nox.session
def costs(session: nox.Session) -> None:
    """Count what a step of every case takes, where settings or code have changed: a minute or two for all of them."""
    install(session)
    session.run("python", "-m", "goldmark.cases.costs")


@nox.session
def slow(session: nox.Session) -> None:
    """Run the tests that take processes and time of their own: kills, bisected commits, a Ray cluster, every shape."""
    session.install("-c", "constraints.txt", "-e", ".[dev,ray]")
    pytest(session, "-m", "slow", "-n", "logical", "--maxschedchunk", "1", "--durations", "5")  # the longest go first


@nox.session
def zoo(session: nox.Session) -> None:
    """Run every pair of the zoo and every healthy program under the checks, and print what was caught and missed."""
    install(session)
    session.run("python", "tests/zoo/table.py", env=ONE_THREAD)


@nox.session
def examples(session: nox.Session) -> None:
    """Record the goldens of the examples for each framework, read all runs again, and see bugs fail."""
    session.install("-c", "constraints.txt", "-e", ".", *FRAMEWORKS)
    folder = Path(session.create_tmp()).resolve() / "frameworks"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree("examples/frameworks", folder, ignore=shutil.ignore_patterns("golden", ".*", "__pycache__"))
    (folder / "pytest.ini").write_text("[pytest]\n")
    with session.chdir(folder):
        pytest(session, "--golden-update", "--golden-reason", "the first")
        expect(session, ["pytest"], 0, " hold", "runs read", but=" trained (")
        for name, (right, wrong) in FRAMEWORK_BUGS.items():
            example = Path(f"test_{name}.py")
            example.write_text(example.read_text().replace(right, wrong))
        goldens = ["pytest", "-k", "prices or circle or presence or groups or wave", "--tb=line"]
        expect(session, goldens, 1, "5 failed", *(f"trained (test_{name}.py changed)" for name in FRAMEWORK_BUGS))


def expect(session: nox.Session, command: list[str], status: int, *texts: str, but: str = "\0") -> None:
    """Run a command that has to end with a status, and to say some texts and not another one."""
    said = session.run(*command, env=ONE_THREAD, success_codes=[status], silent=True)
    if isinstance(said, str):  # else nothing is run
        session.log(said)
        missing = [text for text in texts if text not in said]
        if missing or but in said:
            session.error(f"it does not say {missing}" if missing else f"it says '{but}'")


@nox.session
def update(session: nox.Session) -> None:
    """Write the goldens anew, and the texts: nox -s update -- --reason "why the results are meant to change"."""
    install(session)
    session.run("goldmark", "golden", "update", *session.posargs)
    session.run("pytest", *TEXTS, "--snapshot-update", env=ONE_THREAD)


@nox.session
def fixtures(session: nox.Session) -> None:
    """Freeze seed 0 of every generator in fixtures/."""
    install(session)
    session.run("python", "-m", "goldmark.cases.fixtures", "fixtures")


@nox.session
def bench(session: nox.Session) -> None:
    """Measure goldens beside json, syrupy and pytest-regressions, stacks beside the plain loop, and what logs cost."""
    install(session)
    session.install("-c", "constraints.txt", "pandas", "pytest-regressions")
    pytest(session, *BENCH)


@nox.session
def lint(session: nox.Session) -> None:
    """Check style and formatting."""
    session.install("-c", "constraints.txt", "ruff")
    session.run("ruff", "check", *LINTED)
    session.run("ruff", "format", "--check", *LINTED)


@nox.session
def types(session: nox.Session) -> None:
    """Check types."""
    install(session)
    session.run("mypy")


def install_wheel(session: nox.Session, extra: str = "") -> Path:
    """Build the wheel and install it as a user does; return an empty folder that is a project of its own."""
    folder = Path(session.create_tmp()).resolve()
    shutil.rmtree(folder)
    (folder / "project").mkdir(parents=True)
    session.run("python", "-m", "pip", "wheel", "--no-deps", "--wheel-dir", str(folder / "wheel"), ".")
    wheel_file = str(next((folder / "wheel").glob("*.whl")))
    session.install("-c", "constraints.txt", f"{wheel_file}{extra}")
    session.install("--force-reinstall", "--no-deps", wheel_file)  # of the same version, but perhaps of other content
    (folder / "project" / "pytest.ini").write_text("[pytest]\n")  # else pytest goes up to the checkout's own settings
    return folder / "project"


def play(session: nox.Session, pages: list[str]) -> None:
    """Follow pages word by word, in folders that are in no project: those of nox lie in the checkout."""
    session.run("python", "tests/docs/played.py", *pages, env={"TMPDIR": None})


@nox.session
def light(session: nox.Session) -> None:
    """Install the wheel without extras, and see what works without torch, and what says which extra it needs."""
    project = install_wheel(session)
    shutil.copy("tests/light/without_torch.py", project)
    with session.chdir(project):
        session.run("pytest", "without_torch.py", *session.posargs)
    play(session, PLAYED_ALONE)


@nox.session
def wheel(session: nox.Session) -> None:
    """Install the wheel as a user does, record and hold a golden, and train from an empty folder."""
    project = install_wheel(session, "[torch]")
    (project / "test_wheel.py").write_text("def test_golden(golden):\n    golden.close({'x': 0.5})\n")
    with session.chdir(project):
        session.run("pytest", "--golden-update", "--golden-reason", "recorded without syrupy")
        session.run("pytest")
    with TemporaryDirectory() as empty, session.chdir(empty):  # outside the checkout, whose runs it would read
        session.run("goldmark", "run", "expansion", "--seeds", "1", env=ONE_THREAD)
    play(session, PLAYED_WITH_TORCH)


@nox.session
def digits(session: nox.Session) -> None:
    """Follow the tutorial, the how-to pages and examples/digits as a user of scikit-learn does: the wheel, no torch."""
    install_wheel(session)
    session.install("-c", "constraints.txt", "scikit-learn")
    play(session, session.posargs or PLAYED)


@nox.session
def docs(session: nox.Session) -> None:
    """Build the site in docs/_build; what Sphinx warns of, such as a link that leads nowhere, is an error."""
    session.install("-c", "constraints.txt", "-e", ".", *SITE)
    session.run("sphinx-build", "-W", "--keep-going", "-E", "-q", "docs", "docs/_build")
