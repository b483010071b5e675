"""Credentials -> Principal."""
