"""Stage types that run the user's own code in a child process: ``shell`` and ``python``."""
