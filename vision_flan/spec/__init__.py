"""Specs as data: reads YAML under task_specs/ and returns datasets and tasks with the location of each key.

No raw file is opened here. To add a key to specs, start with the JSON schema and `model`, and document it in
docs/spec.md.
"""
