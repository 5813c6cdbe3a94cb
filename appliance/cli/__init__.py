"""pumpctl: the command line, an ordinary client of the pump."""
