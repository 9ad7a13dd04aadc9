"""From a camera's frames to published answers."""
