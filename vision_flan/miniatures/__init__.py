"""Miniatures: raw trees in upstream's own layout, with images that show what the annotation says.

In: a dataset, a number of records and a seed. Out: files in upstream's formats and, beside them, the truth
about each record. Generators and drawing helpers may be changed here; the compiler must not need to know that
its input is a miniature. `vision_flan.miniatures.miniature` explains how to write a generator.
"""
