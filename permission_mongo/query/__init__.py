"""What a client may ask, and what of it reaches MongoDB."""
