"""Figures, a module each, and what they share."""
