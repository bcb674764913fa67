"""What a signal costs the correlation, from a few quiet towns to five thousand at once."""
