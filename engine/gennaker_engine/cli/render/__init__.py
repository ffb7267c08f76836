"""How things look: pure functions from data to text, and the one place that writes."""
