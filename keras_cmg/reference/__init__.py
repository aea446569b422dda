"""Import and export of weights of the authors' code."""
