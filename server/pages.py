"""The pages: the one for people at `/`, and the OpenAPI document at `/docs`; nothing comes from elsewhere."""

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse
from fastapi.templating import Jinja2Templates

from server.settings import ROOT

templates = Jinja2Templates(ROOT / "templates")
router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)

DOCS = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Understory: HTTP API</title>
<link rel="stylesheet" href="/static/vendor/swagger-ui/swagger-ui.css">
<script src="/static/vendor/swagger-ui/swagger-ui-bundle.js" defer></script>
<script src="/static/vendor/swagger-ui/start.js" defer></script>
</head>
<body><div id="swagger-ui"></div></body>
</html>
"""


@router.get("/")
async def index(request: Request) -> HTMLResponse:
    """Serve the page."""
    return templates.TemplateResponse(request, "index.html")


@router.get("/docs")
async def docs() -> HTMLResponse:
    """Serve Swagger UI from our own files."""
    return HTMLResponse(DOCS)


def wants_page(request: Request) -> bool:
    """Tell a browser that follows a link from a program that asks the API."""
    return "text/html" in request.headers.get("accept", "") and not request.url.path.startswith("/v1/")


def missing(request: Request) -> HTMLResponse:
    """Say that there is no such page, and where there is one."""
    return templates.TemplateResponse(request, "missing.html", {"path": request.url.path}, status_code=404)
