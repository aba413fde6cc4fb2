"""Measures of runs, intervals and tests, and the results of experiments in one table."""
