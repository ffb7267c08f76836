"""The embedded runtime: carries out what the core decides, in this process."""
