"""One file for each command of the workflow: read files, call the module that knows how, write files atomically."""
