"""What a dose is, in pure integers: no I/O, clock, thread or logging.

Floats appear in models of insulin action alone (``insulin``, ``forecast``), and become integers at
named places.
"""
