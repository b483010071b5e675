"""A permission-aware gateway in front of MongoDB."""

__version__ = "0.1.0"
