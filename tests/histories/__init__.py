"""Histories of runs that earlier releases wrote, kept as data, and what they must read as."""
