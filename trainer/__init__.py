"""Training and evaluation of latent-tree classifiers from the command line."""
