"""Running pipelines: the pure core, the journal, the embedded runtime and the command line."""
