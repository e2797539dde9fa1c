"""Compiled folders, and repositories on the Hub, as the files of other trainers.

In: manifests and shards of `vision_flan.dataset`, read through `vision_flan.hub` where they lie on the Hub.
Out: a complete folder in a trainer's own form, without torch. Formats may be added here; what an instance
says is decided before, only the trainers' marks in it are made harmless.
"""
