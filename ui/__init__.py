"""The touchscreen: a thin renderer in a process of its own."""
