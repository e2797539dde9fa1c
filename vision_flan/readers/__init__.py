"""File formats: takes a declared table and a raw folder, and returns Arrow batches of records.

Images stay where they are until an instance needs one; records carry references to them. To support a new
format, add a module with a reader and list it in `registry`.
"""
