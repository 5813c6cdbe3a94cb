"""What a dose is, in pure integers: no I/O, clock, thread, logging or float."""
