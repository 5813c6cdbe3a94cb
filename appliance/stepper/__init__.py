"""pump-stepper: the delivery loop, in an interpreter of its own; knows ports alone."""
