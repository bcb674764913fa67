"""Detectors with a memory: they follow each entity from window to window."""

from services.core.following.follower import OBSERVATIONS, Follower, Moment

__all__ = ["OBSERVATIONS", "Follower", "Moment"]
