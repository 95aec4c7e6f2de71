"""The command line where the package is not installed: PYTHONPATH=src python -m goldmark.cli."""

from goldmark.cli import main

if __name__ == "__main__":
    main()
