"""Loss terms and matching."""
