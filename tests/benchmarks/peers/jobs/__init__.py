"""What the Python peers run, each in a virtual environment of its own: nothing here imports the city."""
