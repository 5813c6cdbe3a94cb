"""The pump's state machine, leases, recovery and self-test; knows ports and domain."""
