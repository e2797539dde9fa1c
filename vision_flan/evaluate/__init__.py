"""Scores of model answers: answer files in, one `Score` a benchmark out.

In comes our answers.jsonl or a benchmark's own result format, from any model. Out goes a number that equals
the official tool's, with the number of questions scored. A new benchmark is one module and one line in
`registry.py`; a table or figure of the paper is a file of `experiments/`. The room takes only the ground
floor, `spec`, the trainer's recipes and compiled folders, and loads no model.
"""
