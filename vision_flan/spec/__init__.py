"""What contributors write, as values: YAML specs in, frozen `TaskSpec` and `DatasetSpec` out.

Every value knows its file and line. A new key of the spec language begins here: schema, model, docs/spec.md.
"""
