"""Files as upstream ships them: a path of the layout in, bytes out, from disk or from an archive.

Every path is confined to the dataset's folder. Knows nothing of tables; `vflan fetch` downloads from here.
"""
