"""The independent reader of a ledger: standard library only."""

from appliance.verify.reader import Verdict, verify

__all__ = ["Verdict", "verify"]
