"""First stages: BM25's candidates, and exact search with embeddings."""
