"""Engines side by side on the same job: the same bytes, broker and run."""
