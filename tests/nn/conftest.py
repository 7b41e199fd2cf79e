import pytest
import torch

from latent.nn.sentence_classifier import SentenceClassifier, SentenceConfig
from latent.text import Vocabulary

WORDS = ["a", "an", "the", "film", "plot", "is", "was", "good", "bad", "dull", "lovely", "not"]


@pytest.fixture
def make_classifier():
    """Build a small classifier, the same every time."""

    def make(estimator="marginals", **options):
        torch.manual_seed(0)
        config = SentenceConfig(estimator=estimator, embedding_size=6, hidden_size=8, **options)
        return SentenceClassifier(config, Vocabulary(WORDS), ["negative", "positive"])

    return make
