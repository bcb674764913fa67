"""What is worth a signal in road and rail traffic: plain functions on the windows that leave at one moment."""
