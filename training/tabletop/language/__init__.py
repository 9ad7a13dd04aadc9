"""What is said about a scene, and what of it is true."""
