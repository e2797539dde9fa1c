"""How a compiled folder is made: a task and raw files in, an installed config out.

`compile.py` is the way of the data on one screen. A config appears whole or not at all.
"""
