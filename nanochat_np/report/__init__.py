"""One page on a run, or on a chain of runs: read what their folders hold, put it together, write it."""
