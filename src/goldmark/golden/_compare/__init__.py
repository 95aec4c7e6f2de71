"""Comparing: new numbers against a golden, each entry by its own rule, and the message where one does not hold."""
