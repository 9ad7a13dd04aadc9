"""Layout, cameras, light and sensor of a scene."""
