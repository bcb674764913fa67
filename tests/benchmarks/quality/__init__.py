"""How well the domains' detectors and the rules find what is known to happen in a scenario's city."""
