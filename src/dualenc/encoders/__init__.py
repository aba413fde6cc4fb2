"""BERT encoders: their folders, tokens, batches, and the precision of their layers."""
