"""Headers of a request as ASGI hands them over: names in lower case, values as bytes."""

from starlette.types import Scope


def header(scope: Scope, name: bytes) -> str:
    """Return the first header of that name, or ""."""
    for key, value in scope["headers"]:
        if key == name:
            text: str = value.decode("latin-1")
            return text
    return ""
