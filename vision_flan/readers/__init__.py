"""One module per format: raw files in, Arrow batches of declared columns and references to images out.

A reader knows a format, never a dataset. A new format is one module and one line in `registry.py`.
"""
