"""The `vflan` command: each module parses arguments, makes one library call, and prints the result."""
