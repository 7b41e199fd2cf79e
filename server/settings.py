"""The settings of the service: environment variables `UNDERSTORY_*`, or flags of `python -m server`."""

from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from server.schemas import Limits

ROOT = Path(__file__).resolve().parent.parent
PREFIX = "UNDERSTORY_"


class Settings(BaseSettings):
    """Where to listen, what to serve, and how much one client may ask for."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_ignore_empty=True,  # compose hands on what is not set as an empty text
        cli_prog_name="python -m server",
        cli_kebab_case=True,
        cli_hide_none_type=True,
    )

    host: str = Field(default="127.0.0.1", description="Address to listen on")
    port: int = Field(default=8000, ge=0, le=65535, description="Port to listen on; 0 picks a free one")
    models: Path = Field(default=ROOT / "models", description="Folder with one sub-folder a model")
    threads: int = Field(default=0, ge=0, description="Threads for inference; 0 means all cores")

    device: str = Field(default="cpu", description="Where inference runs: cpu, cuda, cuda:1")
    workers: int = Field(default=1, ge=1, description="Processes that serve, each with all models")
    watch_seconds: float = Field(
        default=5.0, ge=0, description="How often to look for new or changed checkpoints; 0 never does"
    )
    api_key: SecretStr | None = Field(
        default=None, min_length=8, description="Key that /v1 asks for as a bearer"
    )
    admin_key: SecretStr | None = Field(
        default=None, min_length=8, description="Key to load and unload models with; off without one"
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(default="info", description="Least level")
    log_text: bool = Field(
        default=False,
        description="Whether the users' text may be logged, and messages of errors that may quote it",
    )
    trace: bool = Field(default=False, description="OpenTelemetry traces, set up by OTEL_* (extra: trace)")

    max_words: int = Field(default=256, ge=1, description="Words in a sentence")
    max_characters: int = Field(default=10_000, ge=1, description="Characters in a sentence")
    max_inputs: int = Field(default=64, ge=1, description="Inputs in a request")
    max_models: int = Field(default=16, ge=1, description="Models in a comparison")
    max_trees: int = Field(default=64, ge=1, description="Trees of SparseMAP's support in an answer")
    max_arcs: int = Field(
        default=400_000, ge=1, description="Sum over a request's inputs and models of words²"
    )
    max_body_bytes: int = Field(default=1_000_000, ge=1, description="Bytes in a request's body, as read")
    max_queue: int = Field(
        default=2_048, ge=1, description="Inputs waiting for one model; above it requests get 429"
    )
    queue_seconds: float = Field(
        default=5.0,
        gt=0,
        description="Longest time in the queue and in a batch; what would take longer gets 429 at once",
    )
    batch_arcs: int = Field(
        default=16_384, ge=1, description="Padded arcs in a batch: sentences x (longest + 1)²"
    )
    batch_tokens: int = Field(default=2_048, ge=1, description="Padded words in a batch: sentences x longest")
    timeout_seconds: float = Field(
        default=30.0, gt=0, description="Longest time for one request, the queue included"
    )
    header_seconds: float = Field(default=10.0, gt=0, description="Longest time to send a request's headers")
    body_seconds: float = Field(default=20.0, gt=0, description="Longest time to send a request's body")
    keep_alive_seconds: int = Field(
        default=75,
        ge=1,
        description="How long a connection stays open between requests; longer than clients and proxies keep "
        "theirs, or they may send a request into one that closes",
    )
    drain_seconds: float = Field(
        default=0.0, ge=0, description="After SIGTERM: how long to serve on, not ready, for proxies to notice"
    )
    grace_seconds: float = Field(
        default=30.0, gt=0, description="After that: longest wait for what is in flight"
    )

    def limits(self) -> Limits:
        """Return the limits on a request, as the models' entries state them."""
        return Limits.model_validate({name: getattr(self, name) for name in Limits.model_fields})


for _name, _field in Settings.model_fields.items():
    _field.description = f"{_field.description} [{PREFIX}{_name.upper()}]"
Settings.model_rebuild(force=True)
