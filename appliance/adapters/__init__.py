"""The outside world, one library each: clock, real time, ledger, server, notify, logs."""
