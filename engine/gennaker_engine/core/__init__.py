"""The pure core: what happens next, decided without I/O, clock, randomness or threads."""
