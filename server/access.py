"""Keys: one for the API, one for loading and unloading models; optional, and compared in constant time."""

import hmac

from fastapi import Request
from pydantic import SecretStr
from starlette.types import Scope

from server.errors import ApiError
from server.headers import header
from server.settings import Settings


def check_api_key(scope: Scope, settings: Settings) -> None:
    """Refuse a request without the API key, where one is set."""
    if settings.api_key is not None:
        _check(scope, settings.api_key)


# Coroutines, though they wait for nothing: the framework sends plain functions to a thread.
async def require_api_key(request: Request) -> None:
    """Refuse a request without the API key, where one is set."""
    check_api_key(request.scope, request.app.state.settings)


async def require_admin_key(request: Request) -> None:
    """Refuse a request without the admin key; without one set there is no administration at all."""
    key = request.app.state.settings.admin_key
    if key is None:
        raise ApiError(
            403, "admin_off", "no admin key is set: models cannot be loaded or unloaded by request"
        )
    _check(request.scope, key)


def _check(scope: Scope, key: SecretStr) -> None:
    scheme, _, given = header(scope, b"authorization").partition(" ")
    right = hmac.compare_digest(given.strip().encode(), key.get_secret_value().encode())
    if scheme.lower() != "bearer" or not right:
        raise ApiError(
            401,
            "unauthorized",
            "this needs the header 'Authorization: Bearer <key>' with the right key",
            headers={"WWW-Authenticate": "Bearer"},
        )
