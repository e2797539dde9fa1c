"""Tables in, rows in selection order out, by SQL in a database that is locked.

What SQL a spec may hold is decided by `sql.py` and the lists in `functions.py`.
"""
