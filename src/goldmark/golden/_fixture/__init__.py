"""The pytest fixture `golden`: its checks, its arguments, and what the processes of a test session share."""
