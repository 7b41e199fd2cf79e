import torch

from latent.nn.sentence_classifier import SentenceClassifier, SentenceConfig
from latent.text import Vocabulary
from trainer.rare_words import leave_out_rare_words
from trainer.tasks.sst import Sst


def test_rare_words_without_a_vector_become_unknown_ones(sst_folder, tmp_path):
    """Of five words one is rare and has no vector: to the classifier it is then any unknown word."""
    splits = Sst(data=sst_folder, phrases=False).splits()
    counts = {word: sum(sentence.count(word) for sentence in splits.sentences) for word in ("film", "lovely")}
    vectors = tmp_path / "vectors.txt"
    vectors.write_text("once 1 0\n")  # as rare as can be, but with a vector
    torch.manual_seed(0)
    config = SentenceConfig(embedding_size=4, hidden_size=6)
    words = Vocabulary(["film", "never", "lovely", "once", "."])
    classifier = SentenceClassifier(config, words, ["negative", "positive"]).double().eval()
    sentences = [["film", "once", "."], ["lovely", "xyzzy"], ["lovely", "never"]]
    before = [classifier(classifier.batch([sentence])) for sentence in sentences]
    assert not torch.equal(before[1], before[2])
    leave_out_rare_words(classifier, splits, min(counts.values()), [vectors])
    assert classifier.vocabulary.words == ("film", "lovely", "once", ".")
    assert classifier.encoder.embedding.weight.shape == (6, 4)
    after = [classifier(classifier.batch([sentence])) for sentence in sentences]
    assert torch.equal(after[0], before[0])
    assert torch.equal(after[1], before[1])
    assert torch.equal(after[2], before[1])
