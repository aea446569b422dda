"""Encoders, devices, hyperparameters, measurements of whole trainings.

Imports `recipes.runner` and `recipes.protocol` only.
"""
