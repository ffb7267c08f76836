"""Files beside the journal: artifacts, logs, sources and workspaces in the state folder.

The runtime writes them, the command line reads them. Names are content digests or ids that the
model has checked, so no path here is made of what a user may type freely.
"""
