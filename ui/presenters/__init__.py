"""What each screen shows and offers, in plain Python without Kivy."""
