"""Which of several candidates stands where the sentence says: a small learned judge of places."""
