"""Tables, charts, pages, the paper's numbers.

Imports `recipes.runner`, `recipes.protocol` and `recipes.training`; no experiment.
"""
