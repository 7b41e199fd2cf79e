"""`python -m server.kernels`: compile all that the service runs, so that no start and no request waits."""

import time

from latent.kernels.__main__ import compile_all as compile_trees
from latent.nn.checkpoint import Classifier
from latent.nn.classifier import TREES
from latent.nn.pair_classifier import PairClassifier, PairConfig
from latent.nn.sentence_classifier import SentenceClassifier, SentenceConfig
from latent.text import Vocabulary
from server.registry import rehearse


def compile_all() -> None:
    """Call every kernel of trees once, and answer once with each kind of model."""
    compile_trees()
    vocabulary, labels = Vocabulary(["film"]), ["no", "yes"]
    for structure in TREES:
        sentences = SentenceConfig(structure=structure, embedding_size=2, hidden_size=2)
        pairs = PairConfig(structure=structure, embedding_size=2, hidden_size=2)
        models: tuple[Classifier, ...] = (
            SentenceClassifier(sentences, vocabulary, labels),
            PairClassifier(pairs, vocabulary, labels),
        )
        for model in models:
            rehearse(model.eval())


if __name__ == "__main__":
    start = time.perf_counter()
    compile_all()
    print(f"kernels compiled and cached in {time.perf_counter() - start:.0f} s")
