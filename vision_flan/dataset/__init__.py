"""From instances to what others read: shards, the manifest of each config, and the documents about them.

Instances come in from `instances`; Parquet shards, manifests, README.md, LICENSES.md, CITATIONS.bib and
croissant.json go out. The columns and the manifest are formats that compiled folders and the Hub rely on,
so they may only grow; the wording of the documents may change.
"""
