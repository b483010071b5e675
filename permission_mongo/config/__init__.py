"""YAML -> frozen dataclasses, every mistake with its place."""
