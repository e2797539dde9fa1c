"""Random and damaged input for what reads untrusted files: `make fuzz`."""
