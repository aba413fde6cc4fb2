"""The DAG: which files there are, what decides each, what jobs take, and DVC's stages."""
