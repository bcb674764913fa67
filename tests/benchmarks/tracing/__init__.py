"""What traces cost where they are off, and where one of a hundred frames is told of."""
