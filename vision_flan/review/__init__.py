"""For contributors and reviewers: specs in, findings and pages out.

A rule of `vflan validate` is one function here and one line in docs/spec.md.
"""
