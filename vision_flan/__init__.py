"""vision-flan: the tasks of Vision-Flan (Xu et al. 2024, arXiv 2402.11690) as source.

The package mirrors the way of the data: `spec` (what a task is), `sources` (raw files and their
formats), `records` (rows), `instances` (what a model sees), `shards` (Parquet), `card` and `hub`.
"""

__version__ = "0.1.0"
