"""Training of the recogniser: names of regions from the frozen encoder's features under them."""
