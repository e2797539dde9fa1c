"""Where a compiled folder lies: on this machine, or in a store of objects such as `s3://`."""
