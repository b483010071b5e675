"""Pure functions on one document."""
