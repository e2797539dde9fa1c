"""From a record to an instance: image, instruction, input, options and target, or why it is dropped.

Rows come in from `records`, in selection order and a hundred at a time. They are columns (`Rows`) until they
go out to `dataset`, as `Instances`, with what was dropped; a row that is made alone is a group of one. A new
operation of `derive:`, a text filter or an image check belongs here. Templates are untrusted, random draws
depend only on seed, key and field, and the bytes of an image pass through unchanged.
"""
