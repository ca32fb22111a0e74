"""What reports claim, recomputed."""
