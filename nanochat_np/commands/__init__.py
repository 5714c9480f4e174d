"""What each command does, from a validated record to a summary."""
