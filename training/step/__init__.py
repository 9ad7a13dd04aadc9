"""One training step: a batch in, weighted loss terms out."""
