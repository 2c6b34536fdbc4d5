"""The web service: enrich on message, re-sync on tag. A second face beside the command line, over one controller."""
