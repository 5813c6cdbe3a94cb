"""The simulated bench: plant, pins, faults and server."""
