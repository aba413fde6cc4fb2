"""params.yaml: its schema, its checks, and the slice that each command gets."""
