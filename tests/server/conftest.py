"""A folder of tiny models, and the application over it, for all tests of the service."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI
from served import ESTIMATORS, running, settings_for, write_model

from server.app import create_app


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    for estimator in ESTIMATORS:
        write_model(folder, estimator)
    (folder / "sst-spigot" / "card.json").write_text('{"data": "none: untrained"}', encoding="utf-8")
    return folder


@pytest.fixture
def own_models(model_folder: Path, tmp_path: Path) -> Path:
    """A copy of the models that a test may change."""
    return Path(shutil.copytree(model_folder, tmp_path / "models"))


@pytest.fixture(scope="session")
def app(model_folder: Path) -> FastAPI:
    return create_app(settings_for(model_folder))


@pytest.fixture(scope="session")
def client(app: FastAPI) -> Iterator[httpx.Client]:
    with running(app) as client:
        yield client
