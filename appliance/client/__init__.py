"""Wire messages and PumpClient: all that a screen, a terminal or a script imports."""
