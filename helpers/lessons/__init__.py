"""One module for each lesson: its checks, its explorer, and the figures that only it draws."""
