"""Bringing objects into a cluster: what is left alone, whose fields are whose, and the record of it."""
