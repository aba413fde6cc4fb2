"""How the miniature BERTs are pre-trained."""
