"""Objects, meshes and textures of the rendered world."""
