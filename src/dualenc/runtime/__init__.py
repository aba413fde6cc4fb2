"""What every job runs on: errors, files that appear as a whole, progress, locks, provenance."""
