"""What a collection's documents look like."""
