"""Whether what was deployed works: readiness, the wait for it, and why something is not ready."""
