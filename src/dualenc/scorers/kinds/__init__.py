"""A module for each kind of model: `dualenc.scorers.models` says what is in one."""
