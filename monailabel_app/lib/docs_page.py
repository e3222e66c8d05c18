"""The page of all routes: drawn here, for a hospital's browser cannot fetch one from elsewhere."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable, Iterator
from typing import Any

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

_STYLE = """
:root { color-scheme: light dark; --line: #8884; --soft: #8882; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 58rem; margin: 2rem auto; padding: 0 1rem; }
h1 { margin-bottom: 0 } h2 { margin-top: 2.5rem; border-bottom: 1px solid var(--line) }
details { border: 1px solid var(--line); border-radius: 6px; margin: .5rem 0; }
summary { cursor: pointer; padding: .45rem .7rem; }
details > div { padding: .2rem .9rem .8rem; }
b.method { display: inline-block; min-width: 4.2rem; font-family: ui-monospace, monospace; }
code, pre { font-family: ui-monospace, monospace; font-size: .92em; }
pre { background: var(--soft); padding: .6rem; border-radius: 6px; overflow: auto; }
table { border-collapse: collapse; width: 100%; } td, th { text-align: left; padding: .2rem .5rem; }
tr { border-bottom: 1px solid var(--line); vertical-align: top; }
.note { border: 2px solid #d80; border-radius: 6px; padding: .4rem .8rem; font-weight: 600; }
"""
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"


def docs_routes(openapi: Callable[[], dict[str, Any]]) -> APIRouter:
    """The page, at ``/`` and ``/docs``.

    Args:
        openapi: The OpenAPI document of all routes.
    """
    router = APIRouter(include_in_schema=False)

    @router.get("/")
    @router.get("/docs")
    def docs() -> HTMLResponse:
        return HTMLResponse(page(openapi()), headers={"Content-Security-Policy": _POLICY})

    return router


def page(document: dict[str, Any]) -> str:
    """An OpenAPI document as one HTML page that loads nothing."""
    info = document["info"]
    body = "".join(_sections(document))
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{_text(info["title"])}'
        f"</title><style>{_STYLE}</style><h1>{_text(info['title'])}</h1>"
        f"<p>Version {_text(info['version'])} · <a href='openapi.json'>openapi.json</a></p>"
        f"{_prose(info.get('description', ''))}{body}</html>"
    )


def _sections(document: dict[str, Any]) -> Iterator[str]:
    by_tag: dict[str, list[str]] = {}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            tag = (operation.get("tags") or ["Others"])[0]
            by_tag.setdefault(tag, []).append(_operation(document, path, method, operation))
    ours_first = sorted(by_tag, key=lambda tag: (tag.startswith("MONAI Label"), tag))
    for tag in ours_first:
        yield f"<h2>{_text(tag)}</h2>{''.join(by_tag[tag])}"


def _operation(document: dict[str, Any], path: str, method: str, operation: dict[str, Any]) -> str:
    rows = "".join(_row(one) for one in operation.get("parameters", ()))
    table = f"<table><tr><th>parameter<th>in<th>meaning</tr>{rows}</table>" if rows else ""
    bodies = "".join(
        f"<p>Body, <code>{_text(kind)}</code></p>{_schema(document, content.get('schema', {}))}"
        for kind, content in operation.get("requestBody", {}).get("content", {}).items()
    )
    answers = "".join(
        f"<tr><td>{_text(status)}<td>{_text(answer.get('description', ''))}</tr>"
        for status, answer in operation.get("responses", {}).items()
    )
    return (
        f"<details><summary><b class=method>{method.upper()}</b> <code>{_text(path)}</code> "
        f"{_text(operation.get('summary', ''))}</summary><div>"
        f"{_prose(operation.get('description', ''))}{table}{bodies}"
        f"<table><tr><th>answer<th></tr>{answers}</table></div></details>"
    )


def _row(parameter: dict[str, Any]) -> str:
    schema = parameter.get("schema", {})
    kind = schema.get("type") or " or ".join(
        str(one.get("type")) for one in schema.get("anyOf", ()) if one.get("type") != "null"
    )
    need = " (needed)" if parameter.get("required") else ""
    values = f" one of {', '.join(map(str, schema['enum']))}" if "enum" in schema else ""
    words = f"{kind}{values}{need}. {parameter.get('description', '')}"
    return (
        f"<tr><td><code>{_text(parameter['name'])}</code><td>{_text(parameter['in'])}"
        f"<td>{_text(words)}</tr>"
    )


def _schema(document: dict[str, Any], schema: dict[str, Any]) -> str:
    """A body's form, references followed once."""
    shown = _followed(document, schema)
    return f"<pre>{_text(json.dumps(shown, indent=1, ensure_ascii=False))}</pre>"


def _followed(document: dict[str, Any], schema: Any, deep: int = 3) -> Any:
    if isinstance(schema, list):
        return [_followed(document, one, deep) for one in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema and deep:
        found: Any = document
        for part in schema["$ref"].removeprefix("#/").split("/"):
            found = found[part]
        return _followed(document, found, deep - 1)
    return {key: _followed(document, value, deep) for key, value in schema.items()}


def _prose(text: str) -> str:
    """Paragraphs, lists, code and bold of Markdown; no more is written in our descriptions."""
    parts = []
    for block in re.split(r"\n\s*\n", text.strip()):
        lines = [_inline(line.strip()) for line in block.splitlines() if line.strip()]
        if not lines:
            continue
        if all(re.match(r"\d+\. ", line) for line in lines):
            items = "".join(f"<li>{line.split('. ', 1)[1]}</li>" for line in lines)
            parts.append(f"<ol>{items}</ol>")
        else:
            kind = " class=note" if lines[0].startswith("<b>") else ""
            parts.append(f"<p{kind}>{' '.join(lines)}</p>")
    return "".join(parts)


def _inline(line: str) -> str:
    text = re.sub(r"`([^`]+)`", r"<code>\1</code>", _text(line))
    return re.sub(r"\*\*([^*]+)\*\*", r"<b>\1</b>", text)


def _text(value: object) -> str:
    return html.escape(str(value))
