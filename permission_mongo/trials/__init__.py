"""Policy tests run: by the same planning, rules and lenses that serve requests, on documents in memory."""
