"""One function for each step of the workflow: read files, call the module that knows how, write files atomically."""
