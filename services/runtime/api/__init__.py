"""The api role of the domain services."""

from services.runtime.api.role import ApiRole

__all__ = ["ApiRole"]
