"""Python functions as stages: they run in a child process, from the run's source."""

from gennaker import Pipeline

with Pipeline("functions") as pipeline:
    limit = pipeline.parameter("limit", type="integer", default=3)

    @pipeline.stage(args={"limit": limit})
    def count(limit: int) -> int:
        """Count the primes below a limit."""
        found = [n for n in range(2, limit) if all(n % d for d in range(2, n))]
        print(f"primes below {limit}: {found}")
        return len(found)

    @pipeline.stage(args={"primes": count.result})
    def judge(primes: int) -> str:
        """Say whether that is many."""
        return "many" if primes > 10 else "few"
