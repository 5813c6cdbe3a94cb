"""The simulated bench: plant, pins, faults and server.

Imported by tests, by ``bench-sim`` and by ``appliance.simulate`` alone. It shares no code with the
engine: it is the oracle.
"""
