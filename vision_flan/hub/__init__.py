"""A compiled folder in, commits to a dataset repository out, and back.

Licenses decide what is sent (`dataset.publication`); a commit holds complete tasks only.
"""
