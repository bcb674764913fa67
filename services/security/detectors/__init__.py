"""What is worth a signal in security: plain functions on the windows that leave at one moment."""
