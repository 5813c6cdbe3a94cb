"""GPIO through gpiozero, and nothing else of the project's but ports and errors."""
