"""Training the judge of places (`find_core.places`) on true geometry and paraphrased words."""
