"""What an observation costs as a city grows."""
