"""Errors as `application/problem+json` (RFC 9457): one exception class, and what each status is called."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from pydantic_core import to_json
from starlette.exceptions import HTTPException
from starlette.responses import Response

from server.schemas import INPUT_TAGS, ErrorItem, Problem

MEDIA_TYPE = "application/problem+json"


class ApiError(HTTPException):
    """An error that a client is told about: a status, a code for programs and a sentence for people."""

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        errors: Sequence[ErrorItem] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(status, detail, headers)
        self.code = code
        self.errors = list(errors)


def invalid(pointer: str, detail: str) -> ApiError:
    """Return the error for one wrong place in an otherwise readable request."""
    return ApiError(
        422, "invalid_request", f"{pointer}: {detail}", [ErrorItem(pointer=pointer, detail=detail)]
    )


def busy(status: int, code: str, detail: str, retry_after: int = 1) -> ApiError:
    """Return the error that asks a client to come back after so many seconds."""
    return ApiError(status, code, detail, headers={"Retry-After": str(retry_after)})


def problem_response(error: HTTPException, request_id: str) -> Response:
    """Render an error; one of the framework's own gets a code made from its status."""
    title = HTTPStatus(error.status_code).phrase
    code = error.code if isinstance(error, ApiError) else title.lower().replace(" ", "_").replace("-", "_")
    problem = Problem(
        type=f"urn:understory:problem:{code}",
        title=title,
        status=error.status_code,
        detail=error.detail,
        code=code,
        request_id=request_id,
        errors=error.errors if isinstance(error, ApiError) else [],
    )
    return Response(to_json(problem), error.status_code, dict(error.headers or {}), MEDIA_TYPE)


def validation_error(errors: Sequence[Mapping[str, Any]]) -> ApiError:
    """Turn pydantic's errors, with locations in the body, into one of ours; no value received is repeated."""
    items = [ErrorItem(pointer=pointer(error["loc"]), detail=str(error["msg"])) for error in errors]
    first = items[0]
    rest = f" (and {len(items) - 1} more)" if len(items) > 1 else ""
    return ApiError(422, "invalid_request", f"{first.pointer or 'body'}: {first.detail}{rest}", items[:50])


def pointer(location: Sequence[int | str]) -> str:
    """Write pydantic's location of an error as a JSON pointer (RFC 6901) into the body.

    >>> pointer(("inputs", 0, "<tokens>", "tokens", 2))
    '/inputs/0/tokens/2'
    """
    steps = [str(step) for step in location if step not in INPUT_TAGS]
    return "".join("/" + step.replace("~", "~0").replace("/", "~1") for step in steps)
