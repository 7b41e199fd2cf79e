"""A request as ASGI hands it over: its headers (names in lower case, values as bytes), and its state."""

from starlette.types import Scope

BODY_CAME = "body_came"
"""In a request's state where all of its body is here already: how many bytes, which nobody has to time."""


def header(scope: Scope, name: bytes) -> str:
    """Return the first header of that name, or ""."""
    for key, value in scope["headers"]:
        if key == name:
            text: str = value.decode("latin-1")
            return text
    return ""
