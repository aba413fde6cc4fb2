"""The front page of the report, and what a scale is expected to give."""
