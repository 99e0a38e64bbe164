"""What must not pass, asked of a real server on loopback; after every probe the folder is as it was."""

import hashlib
import json
import socket
import struct

import httpx
import numpy as np
import pytest

from labeler_project import SHAPE, Server, code, delta_bytes, make_case, mask_of, phantom_labels

VOXELS = int(np.prod(SHAPE))


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    root = tmp_path_factory.mktemp("secure")
    make_case(root / "cohort" / "p01")
    secret = root / "secret"
    make_case(secret / "outside", labels=False)
    (root / "cohort" / "linked").symlink_to(secret / "outside")
    make_case(root / "cohort" / "p02", phases="nc", labels=False)
    (root / "cohort" / "p02" / "vp.nii.gz").symlink_to(secret / "outside" / "vp.nii.gz")
    (root / "cohort" / "p02" / "labels.nii.gz").symlink_to(root / "cohort" / "p01" / "labels.nii.gz")
    with Server(root / "cohort") as running:
        running.client.get("/api/cases/p01/windows")
        yield running


@pytest.fixture(autouse=True)
def nothing_written(server):
    before = fingerprint(server.place)
    yield
    assert fingerprint(server.place) == before


def fingerprint(folder):
    # The cache is filled by reading, on purpose.
    files = sorted(path for path in folder.rglob("*") if path.is_file() and "cache" not in path.parts)
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def ask(server, method="GET", path="/api/cases", *, drop=(), content=None, **headers):
    sent = {
        "Content-Type": "application/json",
        **server.client.headers,
        **{k.replace("_", "-"): v for k, v in headers.items()},
    }
    for name in drop:
        sent.pop(name.lower(), None)
    with httpx.Client(base_url=server.base, trust_env=False, timeout=60) as client:
        return client.request(method, path, headers=sent, content=content)


@pytest.mark.parametrize(
    ("status", "headers"),
    [
        (421, {"Host": "evil.example"}),
        (421, {"Host": "127.0.0.1.evil.example"}),
        (421, {"Host": "127.0.0.1"}),
        (421, {"Host": "localhost:1"}),
        (403, {"Origin": "http://evil.example"}),
        (403, {"Origin": "null"}),
        (403, {"Origin": "http://127.0.0.1:1"}),
        (403, {"Sec_Fetch_Site": "cross-site"}),
        (403, {"Sec_Fetch_Site": "same-site"}),
        (401, {"Authorization": "Bearer " + "A" * 43}),
        (401, {"Authorization": "Basic QTpB"}),
        (401, {"Authorization": "", "Cookie": "livercascade_1=A"}),
    ],
)
def test_who_is_refused(server, status, headers):
    for method, path in (("GET", "/api/cases"), ("GET", "/"), ("POST", "/api/cases/p01/drafts")):
        answer = ask(server, method, path, content=b"{}" if method == "POST" else None, **headers)
        assert answer.status_code == status, (path, answer.text)
        assert "p01" not in answer.text


def test_without_login_not_even_the_page(server):
    for path in ("/", "/assets/index.js", "/api/session", "/api/cases/p01/report", "/api/cases/p01/volumes/VP"):
        assert ask(server, path=path, drop=["authorization"]).status_code == 401


def test_the_link_works_once_and_gives_a_strict_cookie(server):
    port = server.base.rsplit(":", 1)[1]
    with httpx.Client(base_url=server.base, trust_env=False) as client:
        assert client.get("/?token=wrong").status_code == 401
        answer = client.get(server.link)
        assert (answer.status_code, answer.headers["location"]) == (303, "/")
        cookie = answer.headers["set-cookie"]
        assert cookie.startswith(f"livercascade_{port}=")
        assert all(part in cookie for part in ("HttpOnly", "SameSite=Strict", "Path=/"))
        assert client.get("/api/session").status_code == 200
        assert client.get(server.link).status_code == 401
        # The cookie alone does not write: a form of another site could send it.
        assert code(client.post("/api/cases/p01/drafts", json={})) == "NO_HEADER"
    assert server.log.read_text().count("?token=") == 2


@pytest.mark.parametrize(
    "path",
    [
        "/api/cases/..",
        "/api/cases/..%2f..%2fetc",
        "/api/cases/%2e%2e/report",
        "/api/cases/%2fetc/report",
        "/api/cases/p01%00/report",
        "/api/cases/linked",
        "/api/cases/labelling",
        "/api/cases/.hidden",
        "/api/cases/p01/masks/..%2f..%2fproject",
        "/api/cases/p01/masks/v1%2f..%2fv1",
        "/api/cases/p01/masks/draft...%2fedit",
        "/api/cases/p01/masks/v0001",
        "/api/cases/p01/export/..%2fproject.json",
        "/api/cases/p01/export/labels.pkl",
        "/api/cases/p01/volumes/XX",
        "/api/cases/p01/",
        "/api/cases/p01/drafts/edit.jsonl",
        "/assets/..%2f..%2fserver.py",
        "/..%2f..%2fpyproject.toml",
        "/docs",
        "/openapi.json",
        "/redoc",
    ],
)
def test_names_lead_nowhere(server, path):
    answer = ask(server, path=path)
    assert answer.status_code == 404 and code(answer) == "NOT_FOUND", answer.text


def test_links_out_of_a_case_are_not_followed(server):
    phases = ask(server, path="/api/cases/p02").json()
    assert phases["phases"]["VP"]["status"] == "missing" and phases["reference"] == "NC"
    assert [mask["ref"] for mask in phases["masks"]] == []
    skipped = ask(server, path="/api/cases").json()["skipped"]
    assert [one["code"] for one in skipped] == ["OUTSIDE"]


def test_names_in_raw_bytes(server):
    host, port = server.base.removeprefix("http://").split(":")
    for target in (b"/api/cases/../../etc/passwd", b"http://evil.example/api/cases", b"/api/cases/p01\x00"):
        with socket.create_connection((host, int(port)), 30) as raw:
            lines = [b"GET " + target + b" HTTP/1.1", b"Host: 127.0.0.1:" + port.encode()]
            raw.sendall(b"\r\n".join([*lines, b"Authorization: Bearer " + server.secret.encode(), b"", b""]))
            status = raw.recv(64).split(b" ")[1]
        assert status in (b"400", b"404"), (target, status)


@pytest.fixture(scope="module")
def draft(server):
    answer = server.client.post("/api/cases/p01/drafts", json={})
    assert answer.status_code == 200
    return "/api/cases/p01/drafts/edit"


def raw_delta(count, *, header=None, length=None):
    text = json.dumps(header if header is not None else {"name": "x", "kind": "brush", "count": count}).encode()
    text += b" " * (-len(text) % 4)
    return b"LCD1" + struct.pack("<I", len(text) if length is None else length) + text


BAD_DELTAS = {
    "no magic": (b"XXXX" + bytes(20), 400),
    "short": (delta_bytes([0, 1], [0, 0], [1, 1], {"name": "x"})[:-1], 422),
    "long": (delta_bytes([0, 1], [0, 0], [1, 1], {"name": "x"}) + b"\0", 422),
    "header longer than the body": (raw_delta(0, length=4000), 400),
    "huge header": (raw_delta(0, length=1 << 30), 400),
    "no count": (raw_delta(0, header={"name": "x"}), 400),
    "negative count": (raw_delta(-1), 400),
    "count is true": (raw_delta(True), 400),
    "nothing": (raw_delta(0), 422),
    "label 14": (delta_bytes([0], [0], [14], {"name": "x"}), 422),
    "label 200": (delta_bytes([0], [0], [200], {"name": "x"}), 422),
    "index outside": (delta_bytes([VOXELS], [0], [1], {"name": "x"}), 400),
    "index falls": (delta_bytes([5, 4], [0, 0], [1, 1], {"name": "x"}), 400),
    "index twice": (delta_bytes([5, 5], [0, 0], [1, 1], {"name": "x"}), 400),
    "other old": (delta_bytes([0], [9], [1], {"name": "x"}), 409),
    "no name": (delta_bytes([0], [0], [1], {}), 400),
    "bad kind": (delta_bytes([0], [0], [1], {"name": "x", "kind": "<b>"}), 400),
}


@pytest.mark.parametrize("what", BAD_DELTAS)
def test_edits_that_do_not_fit_change_nothing(server, draft, what):
    body, status = BAD_DELTAS[what]
    answer = ask(server, "POST", f"{draft}/edits", content=body, If_Match='"0"')
    assert answer.status_code == status, answer.text
    assert np.array_equal(mask_of(server.client, "p01", "draft.edit"), phantom_labels())


def test_writes_need_their_headers(server, draft):
    good = delta_bytes([0], [0], [1], {"name": "x"})
    assert (
        ask(server, "POST", f"{draft}/edits", content=good, drop=["x-livercascade"], If_Match='"0"').status_code == 403
    )
    assert ask(server, "POST", f"{draft}/edits", content=good).status_code == 428
    assert ask(server, "POST", f"{draft}/edits", content=good, If_Match='"7"').status_code == 409
    assert ask(server, "POST", f"{draft}/save", content=b"{}", If_Match='"0"').status_code == 422
    assert ask(server, "PATCH", f"{draft}/edits", content=good).status_code == 405


def test_whole_masks_that_do_not_fit(server):
    url = "/api/cases/p01/versions"
    for size, status in ((VOXELS - 1, 422), (VOXELS + 1, 422), (0, 422)):
        assert ask(server, "POST", url, content=bytes(size), If_Match='"labels"').status_code == status
    answer = ask(server, "POST", url, content=bytes(VOXELS - 1) + b"\xc8", If_Match='"labels"')
    assert code(answer) == "BAD_LABEL"
    assert ask(server, "POST", url, content=bytes(VOXELS), If_Match='"v9"').status_code == 409


def test_bodies_over_their_cap(server, draft):
    claimed = ask(server, "POST", "/api/cases/p01/drafts", content=b" " * ((1 << 20) + 1))
    assert claimed.status_code == 413

    def stream():
        for _ in range(40):
            yield b" " * 65536

    with httpx.Client(base_url=server.base, headers=server.client.headers, trust_env=False) as client:
        assert (
            client.post(
                "/api/cases/p01/drafts", content=stream(), headers={"Content-Type": "application/json"}
            ).status_code
            == 413
        )


@pytest.mark.parametrize(
    ("tool", "body"),
    [
        ("relabel", {"at": [[3, 10, 12]], "label": 7}),
        ("relabel", {"at": [[3, 10, 12]], "label": 200}),
        ("relabel", {"at": [[99, 10, 12]], "label": 1}),
        ("relabel", {"at": [[-1, 10, 12]], "label": 1}),
        ("relabel", {"at": [[3, 10, 12]], "label": 1, "shell": "x"}),
        ("copy", {"from": "../x", "at": [3, 10, 12]}),
        ("copy", {"from": "v99", "at": [3, 10, 12]}),
        ("box", {"box": [[0, 99], [0, 2], [0, 2]], "label": 1}),
        ("grow", {"at": [3, 10, 12], "label": 1, "phase": "VP", "low": 0, "high": 1e999}),
        ("verdict", {"difference": "d1", "verdict": "accept"}),
        ("__class__", {}),
    ],
)
def test_tools_refuse_what_does_not_fit(server, draft, tool, body):
    answer = ask(server, "POST", f"{draft}/tools/{tool}", content=json.dumps(body).encode(), If_Match='"0"')
    assert answer.status_code in (400, 404, 422) and code(answer)


def test_names_of_readers(server):
    for name in ("", "..", ".x", "a/b", "%2e%2e%2fx", "a" * 41, "<b>", "a%00b", "a%0ab"):
        answer = ask(server, "POST", "/api/cases/p01/drafts", content=b"{}", X_Livercascade_User=name)
        assert answer.status_code == 400 and code(answer) == "BAD_USER", name


def test_headers_and_log(server):
    for path in ("/", "/api/cases/p01/report", "/api/cases/nobody"):
        answer = ask(server, path=path)
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy and "unsafe" not in policy and "frame-ancestors 'none'" in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["cross-origin-resource-policy"] == "same-origin"
        assert answer.headers["cache-control"] == "no-store"
        assert "access-control-allow-origin" not in answer.headers and "server" not in answer.headers
    preflight = ask(server, "OPTIONS", "/api/cases", Origin=server.base)
    assert preflight.status_code == 405
    log = server.log.read_text()
    assert "p01" not in log and "seg. VII" not in log and server.secret not in log


def test_report_with_a_script_is_plain_text(server):
    answer = ask(server, path="/api/cases/p01/report")
    assert answer.headers["content-type"] == "application/json"
    assert "<script>alert(1)</script>" in answer.json()["parts"][0]["text"]
