"""What one encoded image is asked: localize, segment, interact, retrieve."""
