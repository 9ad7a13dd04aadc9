"""The field itself: plain arrays, and what is done with them."""
