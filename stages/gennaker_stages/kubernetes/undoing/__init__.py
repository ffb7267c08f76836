"""Putting back what a deploy changed: what was there is recorded before, and restored from the record."""
