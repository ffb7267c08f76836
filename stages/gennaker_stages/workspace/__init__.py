"""What stage types that run people's own code share: the folder it works in, and what is kept of it.

A library package: ``scripts`` and ``docker`` use it, it has no stage type of its own.
"""
