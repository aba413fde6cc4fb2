"""Text and judgements: collections, runs, and how arrays and tables are kept in files."""
