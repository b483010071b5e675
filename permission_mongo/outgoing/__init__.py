"""Calls to addresses outside: guarded, signed, bounded."""
