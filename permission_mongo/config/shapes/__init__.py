"""What each file looks like, as JSON Schema; `tests/config/test_shapes.py` holds it against the readers."""
