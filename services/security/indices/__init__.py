"""Indices of security: pure functions on arrays."""
