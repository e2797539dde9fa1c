"""The drawn folder and the tiny model of the trainer's tests."""

from tests.train.conftest import compiled, hub_home, tiny

__all__ = ["compiled", "hub_home", "tiny"]
