"""One deployment: the question with names resolved, the answer with power and money."""
