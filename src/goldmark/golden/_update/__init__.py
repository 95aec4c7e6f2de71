"""Updating: goldens written anew, all of them or none, with a reason and a table of what changed."""
