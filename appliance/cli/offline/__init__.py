"""Verbs of pumpctl that need no daemon, one file each."""
