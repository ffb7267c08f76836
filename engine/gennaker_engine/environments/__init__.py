"""Questions about environments: what is where, since when, by whom, and what has moved since.

The command line asks; everything is read from the journal, and from the targets by the stage types'
own plans.
"""
