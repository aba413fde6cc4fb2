"""One function for each step of the workflow: read files, call the room that knows how, write files atomically."""
