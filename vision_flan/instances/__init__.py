"""A row in, an `Instance` or `Dropped(reason)` out.

Derived fields, options, templates, and images that are checked, passed through or composed. Nothing is random
but the draws of `records.ordering`, each with a key.
"""
