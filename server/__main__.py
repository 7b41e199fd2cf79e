"""`python -m server`: the service and the page, on the bundled models by default."""

import os
import socket
import sys
from contextlib import suppress

from pydantic import ValidationError
from pydantic_settings import CliApp

from server import logs
from server.process import serve, serve_with_workers
from server.settings import PREFIX, Settings


def main() -> None:
    """Read the settings, take the port, and serve until a signal ends it."""
    settings = _settings()
    listener = _listener(settings)
    host, port = listener.getsockname()[:2]
    with suppress(OSError):  # a disk that is full costs this line, and not the service
        print(
            f"Understory on http://{f'[{host}]' if ':' in host else host}:{port}", file=sys.stderr, flush=True
        )
    if settings.workers > 1:
        if not settings.threads:
            settings.threads = max(1, (os.cpu_count() or 1) // settings.workers)
        status = serve_with_workers(settings, listener)
        logs.let_go()
        sys.exit(status)
    serve(settings, listener)


def _settings() -> Settings:
    try:
        settings = CliApp.run(Settings)
    except ValidationError as error:
        sys.exit("\n".join(f"{PREFIX}{e['loc'][0]!s}".upper() + f": {e['msg']}" for e in error.errors()))
    if not settings.models.is_dir():
        sys.exit(f"{PREFIX}MODELS: {settings.models} is no folder; it must hold one sub-folder a model")
    if settings.admin_key is None and not any(settings.models.glob("*/model.safetensors")):
        sys.exit(f"{PREFIX}MODELS: {settings.models} holds no model (<id>/model.safetensors)")
    return settings


def _listener(settings: Settings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        return socket.create_server((settings.host, settings.port), family=family, backlog=2048)
    except OSError as error:
        sys.exit(
            f"cannot listen on {settings.host} port {settings.port}: {error.strerror or error}; "
            f"choose another with {PREFIX}HOST and {PREFIX}PORT"
        )


if __name__ == "__main__":
    main()
