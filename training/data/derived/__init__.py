"""Images made of other images: composites of rendered things and photographs, and references."""
