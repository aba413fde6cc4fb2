"""Trained models as folders for the Hugging Face Hub."""
