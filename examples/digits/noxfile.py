"""The project's commands: `nox -s tests` before each push."""

import nox


@nox.session
def tests(session: nox.Session) -> None:
    """Install the project as its users do, and run its tests: experiments train where something has changed."""
    session.install(".", "pytest-xdist")
    session.run("pytest", *session.posargs)


@nox.session
def update(session: nox.Session) -> None:
    """Record goldens anew: nox -s update -- "why the results are meant to change"."""
    session.install(".")
    session.run("pytest", "--golden-update", "--golden-reason", *session.posargs)
