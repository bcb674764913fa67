"""A city that does not exist, with everything that happens in it known: seeded observations and their truth."""
