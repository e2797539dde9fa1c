"""`torchrun --nproc-per-node 8 -m vision_flan.train stage1 data.root=vision-flan`."""

from __future__ import annotations

import sys

from vision_flan.errors import VflanError, plain


def main(arguments: list[str]) -> int:
    """Runs a recipe with overrides; the exit code."""
    from vision_flan.train.recipe import load, recipe_names

    if not arguments or arguments[0] in ("-h", "--help"):
        print(f"usage: -m vision_flan.train RECIPE [KEY=VALUE ...]\nrecipes: {', '.join(recipe_names())}")
        return 0 if arguments else 2
    try:
        from vision_flan.train.loop import run

        print(f"model: {run(load(arguments[0], arguments[1:]))}")
    except VflanError as error:
        print(plain(f"error: {error}"), file=sys.stderr)
        return int(error.exit_code)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
