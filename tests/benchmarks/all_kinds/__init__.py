"""What it costs that all kinds of all domains are worked on at once, with all that their detectors do."""
