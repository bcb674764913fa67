"""What is worth a signal about the environment, by kind."""
