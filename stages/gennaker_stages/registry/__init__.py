"""What stage types share about image registries: references, credentials, the protocol.

A library package: ``docker`` and ``oci`` use it, it has no stage type of its own.
"""
