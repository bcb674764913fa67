"""What is computed of road and rail traffic: plain functions on arrays, NaN for what is not known."""
