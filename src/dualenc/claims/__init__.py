"""What the paper claims, a module each, and whether the rebuilt numbers confirm it."""
