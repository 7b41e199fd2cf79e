"""Untrained classifiers of pairs whose words heed their heads."""

import torch

from latent.nn.pair_classifier import PairClassifier


def heed_heads(classifier: PairClassifier) -> PairClassifier:
    """Draw the weights on heads too: they start at zero, where no tree would make a difference."""
    for network in (classifier.decoder.align, classifier.decoder.compare):
        torch.nn.init.xavier_normal_(network.first.weight)
    return classifier
