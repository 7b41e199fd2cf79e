"""Models that are alike in part hold that part once: tensors, vocabularies, and whole encoders."""

import hashlib
from collections.abc import Sequence
from typing import Any
from weakref import WeakValueDictionary

from torch import Tensor, nn

from latent.nn.checkpoint import Classifier
from latent.text import Vocabulary

Digest = bytes


class Contents:
    """What the served models are made of, by content; whatever no model holds any more is forgotten."""

    def __init__(self) -> None:
        self._tensors: WeakValueDictionary[Digest, nn.Parameter] = WeakValueDictionary()
        self._vocabularies: WeakValueDictionary[Digest, Vocabulary] = WeakValueDictionary()
        self._encoders: WeakValueDictionary[Digest, Any] = WeakValueDictionary()

    def share(self, classifier: Classifier) -> None:
        """Put what earlier models hold already in the place of its equals, bit for bit, in a new one.

        Two models whose encoders have equal weights and know the same words thus have *one* encoder.

        Cost: one SHA-256 over the weights and the vocabulary.
        """
        digests: dict[int, Digest] = {}
        for module in classifier.modules():
            for name, tensor in list(module.named_parameters(recurse=False)):
                digest = _digest(tensor)
                kept = self._tensors.setdefault(digest, tensor)
                digests[id(kept)] = digest
                setattr(module, name, kept)
        words = hashlib.sha256("\n".join(classifier.vocabulary.words).encode()).digest()
        classifier.vocabulary = self._vocabularies.setdefault(words, classifier.vocabulary)
        encoder: Any = classifier.encoder
        parts = [
            f"{name} ".encode() + (digests.get(id(tensor)) or _digest(tensor))
            for name, tensor in sorted(encoder.state_dict(keep_vars=True).items())
        ]
        key = hashlib.sha256(b"\n".join([repr(encoder).encode(), words, *parts])).digest()
        classifier.encoder = self._encoders.setdefault(key, encoder)


def by_encoder(classifiers: Sequence[Classifier]) -> list[list[int]]:
    """Group the places of those classifiers that `Contents.share` gave one encoder."""
    groups: dict[tuple[int, int], list[int]] = {}
    for place, classifier in enumerate(classifiers):
        groups.setdefault((id(classifier.encoder), id(classifier.vocabulary)), []).append(place)
    return list(groups.values())


def _digest(tensor: Tensor) -> Digest:
    digest = hashlib.sha256(f"{tensor.dtype} {tuple(tensor.shape)} {tensor.device}".encode())
    digest.update(tensor.detach().cpu().contiguous().numpy().data)
    return digest.digest()
