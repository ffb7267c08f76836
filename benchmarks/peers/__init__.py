"""The same pipelines in other engines, each in an environment of its own; ``make bench-peers``."""
