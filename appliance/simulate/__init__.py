"""Virtual time: the same engine and drivers, as fast as the machine can."""
