"""The option `--jobs N` of commands that train on the CPU or on a GPU: `default_jobs` knows how many None is."""

from __future__ import annotations

import click

jobs_option = click.option("--jobs", type=click.IntRange(min=1), help="Processes.  [default: the cores; on a GPU: 1]")
