"""The independent reader of a ledger: standard library only."""
