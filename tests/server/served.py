"""Tiny untrained models, real checkpoints each, and the application over them on a real port."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import torch
import uvicorn
from fastapi import FastAPI
from untrained_pairs import heed_heads

from latent.nn import checkpoint
from latent.nn.pair_classifier import PairClassifier, PairConfig
from latent.nn.sentence_classifier import SentenceClassifier, SentenceConfig
from latent.text import Vocabulary
from server.settings import Settings

ESTIMATORS = ("none", "marginals", "sparsemap", "spigot")
WORDS = ["a", "gripping", ",", "funny", "film", ".", "it", "is", "not", "bad", "the", "and", "of", "dull"]


def write_model(folder: Path, estimator: str, seed: int = 0) -> Path:
    torch.manual_seed(seed)
    config = SentenceConfig(estimator=estimator, embedding_size=8, hidden_size=12)
    classifier = SentenceClassifier(config, Vocabulary(WORDS), ["negative", "positive"]).eval()
    path = folder / f"sst-{estimator}" / "model.safetensors"
    return checkpoint.save(path, classifier, metrics={"test": 0.5}, seed=seed, training={"task": "sst"})


def write_pair_model(folder: Path) -> Path:
    torch.manual_seed(0)
    config = PairConfig(estimator="marginals", embedding_size=8, hidden_size=12)
    labels = ["entailment", "neutral", "contradiction"]
    classifier = heed_heads(PairClassifier(config, Vocabulary(WORDS), labels)).eval()
    path = folder / "snli-marginals" / "model.safetensors"
    return checkpoint.save(path, classifier, metrics={}, seed=0, training={"task": "snli"})


@contextmanager
def running(app: FastAPI) -> Iterator[httpx.Client]:
    """Serve an application from a thread; wait until its models are loaded."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        kept = Settings.model_fields["keep_alive_seconds"].default  # longer than the client's own
        config = uvicorn.Config(app, log_config=None, ws="none", timeout_keep_alive=kept)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        try:
            with httpx.Client(base_url=url, timeout=120) as client:
                deadline = time.monotonic() + 300  # kernels may have to be compiled first
                while client.get("/readyz").json().get("code") == "loading":
                    assert time.monotonic() < deadline, "the models were not loaded in time"
                    time.sleep(0.02)
                yield client
        finally:
            server.should_exit = True
            thread.join()


def settings_for(folder: Path, **values: Any) -> Settings:
    return Settings(**{"models": folder, "watch_seconds": 0, "queue_seconds": 300, **values})
