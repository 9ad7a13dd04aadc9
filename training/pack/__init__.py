"""A training that fits into a few small folders, for a machine without a network."""
