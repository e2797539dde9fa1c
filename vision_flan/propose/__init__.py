"""From a raw folder to a proposed spec: `vflan new --raw`.

In: a dataset's raw folder as upstream ships it. Out: dataset.yaml, a task, an instruction and a miniature
that validate at once, and which files match no table. Everything here is a guess that a person confirms;
the files that are written hold no trace of it and may be changed freely. Readers and rules come from their
own rooms.
"""
