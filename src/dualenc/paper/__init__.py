"""What the paper calls its measures and models, and the numbers that it prints."""
