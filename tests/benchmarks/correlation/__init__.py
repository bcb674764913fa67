"""What a signal costs the correlation, from a quiet district to a thousand cities at once."""
