"""Mirrors `permission_mongo/impact`."""
