"""How a cost grows: several points of one question, measured in turn."""
