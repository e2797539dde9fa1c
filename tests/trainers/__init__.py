"""Exports read by the trainers' own loaders, each in an environment of its own: `make test-trainers`.

The trainers want other versions of the same packages, so none is installed beside the others. `run.py` makes
the exports and the environments and compares; a `read_*.py` runs in one of them and imports nothing of ours.
"""
