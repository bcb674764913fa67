"""How few people are too few to be told of."""

# Fewer people than this are not told: the privacy floor of this project.
LEAST_SHOWN = 10
