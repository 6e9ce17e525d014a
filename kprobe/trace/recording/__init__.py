"""Recording: the model is run once, and what it calls is noted."""
