"""GPIO through gpiozero, and nothing else of the project's but ports and errors.

``factory.build_factory`` makes the pins that the configuration names; ``assembly`` puts them
together for each program. Nothing here asks for the time: every clock is handed in, and it is the
real CLOCK_BOOTTIME, not a demo's scaled one, because a motor's intervals and pulses are real.
"""
