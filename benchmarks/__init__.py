"""What the gateway costs, measured against bare floors in the same run. `python -m benchmarks --help`."""
