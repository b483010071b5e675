"""Mirrors `permission_mongo/trials`."""
