"""The journal: where every fact of every run is kept."""
