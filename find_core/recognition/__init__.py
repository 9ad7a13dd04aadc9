"""A second opinion on what a proposal is: the frozen encoder's features under its mask."""
