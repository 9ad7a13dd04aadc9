"""What the tasks ask about an image."""
