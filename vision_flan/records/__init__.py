"""Records: loads a task's tables into DuckDB, runs its SQL, returns candidates in selection order.

What the SQL of specs may contain is decided here (`functions`, `sql`), and how the seed orders records
(`ordering`). A change of either changes which instances are selected.
"""
