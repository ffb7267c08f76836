"""The one place that states the version; a constant, so that asking for it imports nothing."""

__version__ = "0.1.0"
