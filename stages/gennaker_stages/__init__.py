"""The built-in stage types, registered through the same entry points as anybody's."""
