"""Raw files: takes a dataset's folder and returns bytes, streams and listings by path.

Files may be unpacked or still in their archives; whoever reads them does not see the difference. Upstream's
layouts, archive formats and downloads are handled here, and nothing else: what is in a file belongs to
`readers`. No path leads out of the folder, and no file is written except by `fetch`.
"""
