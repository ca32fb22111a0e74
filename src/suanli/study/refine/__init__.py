"""A user's own measurements refine the fit for his machine: few rows move it a little, many rows make it his own."""
