"""The same model behind other servers: `python benchmarks/service_rivals.py plain|litserve MODEL PORT`.

`plain` is a FastAPI route that predicts one request at a time; `litserve` is LitServe with its batching on.
"""

import sys

import uvicorn
from service_answers import prediction

from latent.nn import checkpoint
from latent.text import tokenize
from server.predictor import Item, predict
from server.schemas import STRUCTURE_NAMES, Parameters, PredictRequest

WANTED = frozenset(STRUCTURE_NAMES)


def answer(classifier, items: list[Item]) -> list[dict]:
    found = predict(classifier, items, WANTED)
    pairs = zip(items, found, strict=True)
    return [{"data": [prediction(classifier.labels, item, one, Parameters())]} for item, one in pairs]


def plain(path: str, port: int) -> None:
    from fastapi import FastAPI

    app, classifier = FastAPI(), checkpoint.load(path).classifier

    @app.get("/readyz")
    def readyz() -> dict:
        return {}

    @app.post("/v1/predict")
    async def route(body: PredictRequest) -> dict:
        return answer(classifier, [Item((tuple(tokenize(body.inputs[0])),))])[0]

    uvicorn.run(app, port=port, log_level="warning")


def litserve(path: str, port: int) -> None:
    from service_litserve import serve

    serve(path, port)


if __name__ == "__main__":
    {"plain": plain, "litserve": litserve}[sys.argv[1]](sys.argv[2], int(sys.argv[3]))
