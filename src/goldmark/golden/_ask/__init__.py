"""Asking: what the goldens of a folder hold and can see, and whether an alarm is real."""
