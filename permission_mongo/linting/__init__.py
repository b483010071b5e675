"""What a sound configuration says and its writer can hardly mean."""
