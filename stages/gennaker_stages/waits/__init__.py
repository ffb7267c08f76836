"""Stage types that wait without a thread: ``approval`` for people, ``wait`` for the clock."""
