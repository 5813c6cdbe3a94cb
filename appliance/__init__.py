"""Benchpump: an insulin pump for the bench, for water and test fluid only."""

__version__ = "0.1.0"
