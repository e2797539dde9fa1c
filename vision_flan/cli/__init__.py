"""The commands: one module per group. They parse, call, print and set the exit code; no logic is here."""
