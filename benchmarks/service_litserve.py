"""The model of `service_rivals.py` behind LitServe: a module of its own, since workers import the class."""

import litserve as ls
import torch
from service_rivals import answer

from latent.nn import checkpoint
from latent.text import tokenize
from server.predictor import Item


class Understory(ls.LitAPI):
    def __init__(self, path: str) -> None:
        super().__init__(max_batch_size=32, batch_timeout=0.005, api_path="/v1/predict")
        self.path = path

    def setup(self, device: str) -> None:
        torch.set_num_threads(1)
        self.classifier = checkpoint.load(self.path).classifier

    def decode_request(self, request: dict) -> Item:
        return Item((tuple(tokenize(request["inputs"][0])),))

    def predict(self, items: list[Item]) -> list[dict]:
        return answer(self.classifier, items)

    def unbatch(self, output: list[dict]) -> list[dict]:
        return output

    def encode_response(self, output: dict) -> dict:
        return output


def serve(path: str, port: int) -> None:
    server = ls.LitServer(Understory(path), accelerator="cpu", healthcheck_path="/readyz")
    server.run(port=port, generate_client_file=False, log_level="warning")
