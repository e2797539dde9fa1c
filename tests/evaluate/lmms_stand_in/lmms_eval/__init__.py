"""Behaves as lmms-eval 0.7.3 does to its caller: options, task files, the log, exit code 0 on failure.

It loads no model: the answers are of `STAND_IN_ANSWER`, a Python expression over `doc`, the question.
"""
