"""Stage types that do one thing with one live object: read, wait, patch, scale, restart."""
