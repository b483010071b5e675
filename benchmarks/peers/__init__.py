"""Other gateways in front of the same MongoDB, as their registries ship them."""
