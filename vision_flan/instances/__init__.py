"""From a record to an instance: image, instruction, input, options and target, or why it is dropped.

Rows come in from `records`, in selection order; an `Instance` or a `Dropped` goes out to `dataset`. A new
operation of `derive:`, a text filter or an image check belongs here. Templates are untrusted, random draws
depend only on seed, key and field, and the bytes of an image pass through unchanged.
"""
