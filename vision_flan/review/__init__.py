"""What authors and reviewers of specs use: `vflan new`, `validate` and `preview`.

In: specs and instructions, valid or not, and miniatures to render them on. Out: findings with file and line,
a page of example instances, and the files of a new task. Rules, their texts and the page may be changed here;
what a spec means is decided in `vision_flan.spec`, `records` and `instances`.
"""
