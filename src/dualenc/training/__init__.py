"""Lists, minibatches, objectives, and trainers that resume."""
