"""The composition root: builds every part, starts them in order, stops them in reverse."""

from whipway.gateway.gateway import Gateway
from whipway.gateway.start_error import StartError

__all__ = ["Gateway", "StartError"]
