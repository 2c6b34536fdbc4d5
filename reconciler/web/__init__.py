"""The web service: enrich on message, re-sync on tag. A second face of the controller, beside the command line."""
