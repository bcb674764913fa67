"""How long after an observation its window, its signal and its incident are there."""
