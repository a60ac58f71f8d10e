"""What each phase of a run does, from live objects to an outcome."""
