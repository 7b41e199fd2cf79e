"""Structures, gradient estimators and classifiers with a latent dependency tree."""
