"""Models that score a query and a passage, and how they score many."""
