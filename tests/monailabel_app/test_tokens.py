"""Who may do what: tokens, log-ins and roles, route by route."""

import gc
from collections.abc import Iterator
from pathlib import Path

import pytest
from a_server import SAMPLES, AServer, multipart
from monailabel.client import MONAILabelClient
from people import NAMES, ROLES, TOKENS, write_token_file
from watching import check_words, printed

MODEL = "healthy_counterpart"
# The client of MONAI Label leaves its connections to the garbage collector.
pytestmark = pytest.mark.filterwarnings(
    "ignore:unclosed <socket:ResourceWarning",
    "ignore:Exception ignored in. <socket:pytest.PytestUnraisableExceptionWarning",
)

# What each route needs. A route that is not here fails the tests below: say who may use it.
OPEN = """
GET /auth/
GET /counterpart/health
GET /favicon.ico
POST /auth/token
"""
USER = """
GET /
GET /auth/token/valid
GET /batch/infer
GET /counterpart/cohort
GET /counterpart/info
GET /counterpart/jobs
GET /counterpart/jobs/{job_id}
GET /counterpart/jobs/{job_id}/events
GET /counterpart/jobs/{job_id}/results/{name}
GET /counterpart/jobs/{job_id}/references/{reference}
GET /counterpart/models
GET /counterpart/scans/{scan}
GET /counterpart/training
GET /counterpart/training/report
GET /datastore/
GET /datastore/image
GET /datastore/image/info
GET /datastore/label
GET /datastore/label/info
GET /docs
GET /info/
GET /openapi.json
GET /session/{session_id}
GET /train/
HEAD /datastore/image
HEAD /datastore/label
DELETE /counterpart/jobs/{job_id}
DELETE /session/{session_id}
POST /activelearning/{strategy}
POST /counterpart/jobs
POST /infer/{model}
PUT /counterpart/scans
PUT /datastore/
PUT /datastore/image
PUT /datastore/label
PUT /datastore/label/info
PUT /datastore/updatelabelinfo
PUT /session/
"""
ANNOTATOR = """
GET /datastore/dataset
"""
ADMIN = """
DELETE /batch/infer
DELETE /counterpart/scans/{scan}
DELETE /counterpart/training
DELETE /datastore/
DELETE /datastore/image
DELETE /datastore/label
DELETE /model/{model}
DELETE /train/
GET /logs/
GET /model/info/{model}
GET /model/{model}
POST /batch/infer/{model}
POST /counterpart/models/publish
POST /counterpart/models/rollback
POST /counterpart/training
POST /reload
POST /train/{model}
PUT /datastore/image/info
PUT /model/{model}
"""
NEEDED = {
    line: role
    for role, lines in (("", OPEN), ("user", USER), ("annotator", ANNOTATOR), ("admin", ADMIN))
    for line in lines.split("\n")
    if line
}
# Nobody's: whoever may use the route is told that there is no such thing, and nothing is done.
FILLED = {
    "job_id": "0" * 32,
    "session_id": "0" * 32,
    "scan": "0" * 64,
    "model": "other",
    "strategy": "first",
    "name": "mask",
    "reference": "reference-0000000000",
}
QUERY = "?image=nobody&id=nobody&label=nobody&tag=nobody"
BODIES = {
    "POST /counterpart/models/rollback": {"to": "9.9.9"},
    "POST /counterpart/training": {"mode": "none"},
}


def asked(server: AServer, line: str, token: str) -> int:
    method, path = line.split(" ")
    body = BODIES.get(line, {}) if method == "POST" and "token" not in path else None
    address = path.format(**FILLED) + QUERY
    if body is None:
        return server.ask(method, address, token=token).status
    return server.ask_json(method, address, body, token=token).status


def test_every_route_has_its_role(a_guarded_server: AServer) -> None:
    document = a_guarded_server.ask("GET", "/openapi.json").json
    methods = ("get", "put", "post", "delete", "head", "patch", "options", "trace")
    routes = {
        f"{method.upper()} {path}"
        for path, operations in document["paths"].items()
        for method in operations
        if method in methods
    }
    hidden = {"GET /", "GET /docs", "GET /openapi.json", "GET /favicon.ico"}
    hidden |= {"HEAD /datastore/image", "HEAD /datastore/label"}
    assert routes | hidden == set(NEEDED)


@pytest.mark.parametrize("role", ROLES)
def test_each_role_may_do_its_own_and_no_more(a_guarded_server: AServer, role: str) -> None:
    rank = (*ROLES, "").index(role)
    for line, needed in NEEDED.items():
        status = asked(a_guarded_server, line, TOKENS[role])
        may = not needed or rank >= ROLES.index(needed)
        assert (status == 403) != may, (line, status)
        assert status != 401 and status < 500, (line, status)


def test_without_a_token_only_the_open_routes_answer(a_guarded_server: AServer) -> None:
    for line, needed in NEEDED.items():
        status = asked(a_guarded_server, line, "")
        assert (status == 401) == bool(needed), (line, status)
    for path in ("/static/x.js", "/ohif/", "/proxy/dicom/qido/studies", "/nothing", "/reload/"):
        check_words(a_guarded_server.ask("GET", path, token=""), (401,))


@pytest.mark.parametrize("kind", ["Basic", "Token", "", "bearer bearer"])
def test_a_token_in_another_form_is_none(a_guarded_server: AServer, kind: str) -> None:
    headers = {"Authorization": f"{kind} {TOKENS['admin']}".strip()}
    answer = a_guarded_server.ask("GET", "/info/", headers=headers, token="")
    check_words(answer, (401,))
    assert answer.headers["www-authenticate"] == "Bearer"


# The way of stock clients.


@pytest.fixture
def a_client(a_guarded_server: AServer, tmp_path: Path) -> Iterator[MONAILabelClient]:
    yield MONAILabelClient(a_guarded_server.url, tmpdir=str(tmp_path))
    gc.collect()


def logged_in(server: AServer, role: str) -> str:
    form = f"username={NAMES[role]}&password={TOKENS[role]}"
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = server.ask("POST", "/auth/token", form.encode(), headers, token="")
    return str(answer.json["access_token"])


def test_the_log_in_of_stock_clients_works(
    a_guarded_server: AServer, a_guarded_job: dict, a_client: MONAILabelClient, tmp_path: Path
) -> None:
    assert a_client.auth_enabled() and not a_client.auth_valid_token()
    a_client.update_auth(a_client.auth_token(NAMES["user"], TOKENS["user"]))
    assert a_client.auth_valid_token()
    assert MODEL in a_client.info()["models"]
    scan = SAMPLES / "sample-01_T2.nii.gz"
    assert a_client.upload_image(str(scan), "sent_T2")["image"] == "sent_T2"
    assert a_client.save_label("sent_T2", str(scan), tag="final")["label"] == "sent_T2"
    mask, params = a_client.infer(MODEL, a_guarded_job["image"], {})
    assert Path(mask).stat().st_size > 0
    assert len(params["findings"]) == a_guarded_job["findings"]
    removed = a_guarded_server.ask("DELETE", "/datastore/image?id=sent_T2")
    assert removed.status == 200


def test_a_log_in_says_whose_it_is_and_which_roles_that_are(a_guarded_server: AServer) -> None:
    for number, role in enumerate(ROLES, start=1):
        log_in = logged_in(a_guarded_server, role)
        said = a_guarded_server.ask("GET", "/auth/token/valid", token=log_in).json
        assert said["username"] == NAMES[role]
        assert said["roles"] == [f"monailabel-{one}" for one in ROLES[:number]]


@pytest.mark.parametrize(
    ("name", "token"),
    [
        (NAMES["admin"], TOKENS["user"]),
        (NAMES["user"], "wrong"),
        ("nobody", TOKENS["user"]),
        ("", ""),
        (NAMES["user"], ""),
        ("x" * 300, "y"),
    ],
)
def test_a_name_and_a_token_that_do_not_fit_get_nothing(
    a_guarded_server: AServer, name: str, token: str
) -> None:
    form = f"username={name}&password={token}".encode()
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    check_words(a_guarded_server.ask("POST", "/auth/token", form, headers, token=""), (401, 422))


def test_a_log_in_is_no_token_to_log_in_with(a_guarded_server: AServer) -> None:
    form = f"username={NAMES['user']}&password={logged_in(a_guarded_server, 'user')}".encode()
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    check_words(a_guarded_server.ask("POST", "/auth/token", form, headers, token=""), (401,))


@pytest.fixture
def restored_tokens(a_guarded_server: AServer) -> Iterator[AServer]:
    yield a_guarded_server
    write_token_file(a_guarded_server)
    assert a_guarded_server.ask("POST", "/reload").status == 200


def test_who_is_taken_out_of_the_file_is_out_at_once(restored_tokens: AServer) -> None:
    server = restored_tokens
    log_in = logged_in(server, "user")
    assert server.ask("GET", "/info/", token=log_in).status == 200
    write_token_file(server, ("annotator", "admin"))
    assert server.ask("POST", "/reload").status == 200
    for token in (log_in, TOKENS["user"], TOKENS["reviewer"]):
        check_words(server.ask("GET", "/info/", token=token), (401,))
    assert server.ask("GET", "/info/", token=TOKENS["annotator"]).status == 200


@pytest.mark.parametrize("text", ["", "Ada admin short", "Ada king 0123456789abcdef", "a b\n"])
def test_a_token_file_that_was_spoilt_changes_nothing(restored_tokens: AServer, text: str) -> None:
    server = restored_tokens
    (server.folder / "tokens").write_text(text)
    check_words(server.ask("POST", "/reload"), (409,))
    assert server.ask("GET", "/info/", token=TOKENS["user"]).status == 200
    check_words(server.ask("GET", "/info/", token=""), (401,))


def test_no_token_and_no_log_in_is_in_any_log(a_guarded_server: AServer) -> None:
    log_in = logged_in(a_guarded_server, "reviewer")
    a_guarded_server.ask("GET", f"/info/?token={TOKENS['user']}", token=log_in)
    a_guarded_server.ask("GET", "/info/", token="wrong-token-0123456789")
    text = printed(a_guarded_server)
    for said in (*TOKENS.values(), log_in, log_in.split(".")[2], "wrong-token-0123456789"):
        assert said not in text


def test_an_image_that_a_user_sent_is_the_administrators_to_remove(
    a_guarded_server: AServer,
) -> None:
    server, user = a_guarded_server, TOKENS["user"]
    scan = (SAMPLES / "sample-01_T2.nii.gz").read_bytes()
    form = multipart({}, {"file": ("own_T2.nii.gz", scan)})
    assert server.ask("PUT", "/datastore/image", *form, token=user).status == 200
    check_words(server.ask("DELETE", "/datastore/image?id=own_T2", token=user), (403,))
    assert server.ask("DELETE", "/datastore/image?id=own_T2").status == 200
