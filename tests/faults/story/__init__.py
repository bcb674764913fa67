"""The life of some incidents, step by step: what happens, and what must come of it, killed or not."""
