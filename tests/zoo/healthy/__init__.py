"""Healthy programs, usual and unusual: each returns the names of its findings, of which there must be none."""
