"""FIND-Bench's data engine: from panoptic annotations and captions to sentences and stand-ins."""
