"""One recipe per file; each reproduces a table or a figure."""
