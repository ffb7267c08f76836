"""What stands between this machine and a deploy, found before one is tried: ``gennaker doctor``."""
