"""Where the sensors of each domain stand."""
