"""From the spec of a task and its raw files to a config in the compiled folder.

`compile.py` is the whole sequence; the other modules hold its steps: what a config is made from (`identity`,
`inputs`), making blocks (`blocks`), moving them into place (`install`), and suites of tasks (`plan`, `many`).
Nothing here may make the shards depend on the machine, the number of workers, or what an earlier run left
behind: a change here must keep every digest and every interruption test.
"""
