"""The kinds of datasets, and how each becomes a collection."""
