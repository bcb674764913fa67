"""What the sensors of each domain tell in an ordinary hour."""
