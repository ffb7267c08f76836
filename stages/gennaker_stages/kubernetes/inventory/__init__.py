"""Which objects belong to a deploy: its ApplySet, other owners, and what is pruned."""
