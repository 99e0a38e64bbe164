"""The description of the interface: complete, and the one from which the page's types were made."""

from pathlib import Path

from livercascade.labeler.http.application import interface
from livercascade.labeler.http.openapi import openapi_text

COMMITTED = Path(__file__).parents[1] / "labeler-web" / "openapi.json"
BINARY = ("application/octet-stream", "application/vnd.livercascade.delta")


def operations():
    for path, item in interface().openapi()["paths"].items():
        for method, operation in item.items():
            yield f"{method} {path}", operation


def test_the_committed_description_is_that_of_the_code():
    remedy = "python -m livercascade.labeler.http.openapi labeler-web/openapi.json, then npm run types in labeler-web"
    assert COMMITTED.read_text("utf-8") == openapi_text(), f"run {remedy}"


def test_every_answer_has_a_schema():
    for name, operation in operations():
        good = [answer for status, answer in operation["responses"].items() if status.startswith("2")]
        schemas = {kind: content["schema"] for answer in good for kind, content in answer["content"].items()}
        assert schemas, name
        for kind, schema in schemas.items():
            free = not schema or schema.get("additionalProperties") is True
            assert not free or kind in BINARY, f"{name}: {kind} says nothing of what it holds"
        refused = operation["responses"]["default"]["content"]["application/json"]["schema"]
        assert refused["$ref"].endswith("/ErrorAnswer"), name


def test_every_tool_names_its_body():
    tools = [(name, operation) for name, operation in operations() if "/tools/" in name]
    assert len(tools) == 14
    for name, operation in tools:
        schema = operation["requestBody"]["content"]["application/json"]["schema"]
        assert schema["$ref"].endswith("Request"), name
