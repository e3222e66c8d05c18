"""Whatever is sent: the answer is a sentence and a hint, nothing is written, the server goes on."""

import http.client
import json
from collections.abc import Callable
from urllib.parse import quote

import pytest
from a_server import SAMPLES, Answer, AServer, multipart
from bad_scans import NAME, a_zip, a_zip_with_a_long_table, bad_archives, bad_files
from people import TOKENS
from watching import check_words, next_line, nothing_written, printed

MODEL = "healthy_counterpart"
GOOD = (SAMPLES / "sample-02_FLAIR.nii.gz").read_bytes()
OVER_THE_LIMIT = 4_400_000
Send = Callable[[AServer, str, bytes], Answer]


def by_scans(server: AServer, name: str, content: bytes) -> Answer:
    return server.ask("PUT", f"/counterpart/scans?name={quote(name)}", content)


def by_datastore(server: AServer, name: str, content: bytes) -> Answer:
    return server.ask("PUT", "/datastore/image", *multipart({}, {"file": (name, content)}))


def by_infer(server: AServer, name: str, content: bytes) -> Answer:
    return server.ask("POST", f"/infer/{MODEL}", *multipart({}, {"file": (name, content)}))


def by_session(server: AServer, name: str, content: bytes) -> Answer:
    address = f"/session/?uncompress={'true' if name.endswith('.zip') else 'false'}"
    return server.ask("PUT", address, *multipart({}, {"files": (name, content)}))


WAYS = {"scans": by_scans, "datastore": by_datastore, "infer": by_infer, "session": by_session}


@pytest.fixture(scope="module")
def a_server_with_a_scan(a_guarded_server: AServer) -> AServer:
    assert by_scans(a_guarded_server, "good_FLAIR.nii.gz", GOOD).status in (200, 201)
    return a_guarded_server


def refused(server: AServer, send: Callable[[], Answer], *statuses: int) -> Answer:
    """The answer, once it is sure that it left nothing behind."""
    since = len(server.log)
    with nothing_written(server):
        answer = send()
    check_words(answer, statuses)
    assert NAME not in next_line(server, since, f": {answer.status}, ")
    assert by_scans(server, "good_FLAIR.nii.gz", GOOD).status == 200, "the next request works"
    return answer


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("what", bad_files())
def test_a_file_that_is_no_brain_scan_is_refused(
    a_server_with_a_scan: AServer, way: str, what: str
) -> None:
    suffix, content = bad_files()[what]
    send = WAYS[way]
    refused(a_server_with_a_scan, lambda: send(a_server_with_a_scan, NAME + suffix, content), 422)


@pytest.mark.parametrize("way", ["scans", "infer", "session"])
@pytest.mark.parametrize("what", bad_archives())
def test_an_archive_that_holds_no_series_is_refused(
    a_server_with_a_scan: AServer, way: str, what: str
) -> None:
    suffix, content = bad_archives()[what]
    send = WAYS[way]
    refused(a_server_with_a_scan, lambda: send(a_server_with_a_scan, NAME + suffix, content), 422)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("name", "statuses"),
    [
        (f"{NAME}.exe", (415,)),
        (NAME, (415,)),
        (".nii.gz", (400,)),
        ("a..b.nii", (400,)),
        ("#.nii", (400,)),
        (f"{'x' * 130}.nii", (400,)),
        (f"{'x' * 300}.nii", (400, 422)),
    ],
)
def test_a_name_that_is_none_is_refused(
    a_server_with_a_scan: AServer, way: str, name: str, statuses: tuple[int, ...]
) -> None:
    send = WAYS[way]
    refused(a_server_with_a_scan, lambda: send(a_server_with_a_scan, name, GOOD), *statuses)


def test_an_empty_file_is_refused(a_server_with_a_scan: AServer) -> None:
    for send in WAYS.values():
        refused(a_server_with_a_scan, lambda send=send: send(a_server_with_a_scan, "a.nii", b""))


@pytest.mark.parametrize("image", ["truncated", "CT", "not-a-number", "one-slice"])
def test_an_image_of_the_studies_that_is_no_scan_fails_with_its_reason(
    a_server_with_a_scan: AServer, image: str
) -> None:
    server = a_server_with_a_scan
    stock = server.ask("POST", f"/infer/{MODEL}?image={image}", *multipart({"params": "{}"}, {}))
    check_words(stock, (422,))
    job = server.wait(server.submit(image)["id"])
    assert job["state"] == "failed"
    assert {"error": job["error"], "hint": job["hint"]} == stock.json
    mask = server.ask("GET", f"/counterpart/jobs/{job['id']}/results/mask")
    check_words(mask, (422,))
    assert not list((server.state / "results").iterdir())


def job(server: AServer, **values: object) -> Answer:
    return server.ask_json("POST", "/counterpart/jobs", values)


def infer(server: AServer, params: object, image: str = "sample-01_T1") -> Answer:
    body = params if isinstance(params, str) else json.dumps(params)
    form = multipart({"params": body}, {})
    return server.ask("POST", f"/infer/{MODEL}?image={quote(image, safe='')}", *form)


ODD_OPTIONS = {
    "unknown": {"colour": "red"},
    "text for a number": {"threshold": "high"},
    "text for a whole number": {"seed": "many"},
    "a number in text": {"threshold": "8.5"},
    "a part for a whole number": {"seed": 1.5},
    "negative": {"threshold": -1},
    "too large": {"seed": 2**31},
    "far too large": {"seed": 10**400},
    "no number": {"threshold": float("nan")},
    "infinite": {"minimum_ml": float("inf")},
    "a list": {"threshold": [1]},
    "an unknown contrast": {"contrast": "PET"},
    "half a letter": {"contrast": "\ud800"},
    "a long name": {"x" * 5000: 1},
}


@pytest.mark.parametrize("what", ODD_OPTIONS)
def test_an_option_that_is_none_is_refused(a_server_with_a_scan: AServer, what: str) -> None:
    server, options = a_server_with_a_scan, ODD_OPTIONS[what]
    refused(server, lambda: job(server, image="sample-01_T1", options=options), 400, 422)
    refused(server, lambda: infer(server, options), 400)


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"image": "sample-01_T1", "scan": "0" * 64},
        {"image": "nobody"},
        {"image": ""},
        {"image": 7},
        {"image": ["sample-01_T1"]},
        {"image": "\ud800"},
        {"scan": "0" * 64},
        {"scan": "sample-01_T1"},
        {"image": "sample-01_T1", "options": None},
        {"image": "sample-01_T1", "options": "seed"},
        {"image": "sample-01_T1", "more": 1},
    ],
    ids=str,
)
def test_a_job_on_nothing_is_refused(a_server_with_a_scan: AServer, values: dict) -> None:
    refused(a_server_with_a_scan, lambda: job(a_server_with_a_scan, **values), 400, 404, 422)


def test_another_model_is_refused(a_server_with_a_scan: AServer) -> None:
    server = a_server_with_a_scan
    form = multipart({"params": "{}"}, {})
    for address in ("/infer/other?image=sample-01_T1", "/batch/infer/other", "/train/other"):
        refused(server, lambda address=address: server.ask("POST", address, *form), 404, 422)
    refused(server, lambda: server.ask("GET", "/model/other"), 404)
    refused(server, lambda: server.ask("GET", "/model/info/other"), 404)
    refused(server, lambda: server.ask_json("POST", "/batch/infer/other", {}), 404)
    refused(server, lambda: server.ask_json("POST", "/train/other", {}), 404)


BOMBS = {
    "deep lists": b"[" * 100_000 + b"]" * 100_000,
    "deep objects": b'{"a":' * 30_000 + b"1" + b"}" * 30_000,
    "a huge number": b'{"image": ' + b"9" * 200_000 + b"}",
    "many keys": json.dumps({f"key{number}": number for number in range(15_000)}).encode(),
    "a long text": b'{"image": "' + b"x" * 250_000 + b'"}',
    "over the limit": b'{"image": "' + b"x" * 300_000 + b'"}',
    "not closed": b'{"image": "sample-01_T1"',
    "no letters": b'{"image": "\xff\xfe"}',
    "nothing": b"",
    "a list": b"[1, 2]",
    "a word": b'"sample-01_T1"',
}


@pytest.mark.parametrize(
    "address",
    [
        "/counterpart/jobs",
        "/counterpart/training",
        f"/train/{MODEL}",
        "/counterpart/models/rollback",
    ],
)
@pytest.mark.parametrize("bomb", BOMBS)
def test_a_json_bomb_is_refused(a_server_with_a_scan: AServer, bomb: str, address: str) -> None:
    server, content = a_server_with_a_scan, BOMBS[bomb]
    for kind in ("application/json", "text/plain"):
        headers = {"Content-Type": kind}
        refused(server, lambda headers=headers: server.ask("POST", address, content, headers))


@pytest.mark.parametrize("bomb", [name for name in BOMBS if name not in ("nothing", "no letters")])
def test_a_json_bomb_within_a_form_is_refused(a_server_with_a_scan: AServer, bomb: str) -> None:
    server, text = a_server_with_a_scan, BOMBS[bomb].decode()
    refused(server, lambda: infer(server, text))
    form = multipart({"info": text}, {})
    address = "/datastore/image/info?image=sample-01_T1"
    refused(server, lambda: server.ask("PUT", address, *form))


@pytest.mark.parametrize(
    "info",
    ['{"a": "\\ud800"}', '{"\\udfff": 1}', '{"a": 1e999}', '{"a": NaN}', '{"path": "/etc"}', "[]"],
)
def test_what_others_could_not_read_again_is_not_stored(
    a_server_with_a_scan: AServer, info: str
) -> None:
    """With half a letter in its file, the studies' list could not be read at the next start."""
    server, good = a_server_with_a_scan, {"file": ("new_T1.nii.gz", GOOD)}
    addresses = [
        ("/datastore/image/info?image=sample-01_T1", multipart({"info": info}, {})),
        ("/datastore/image", multipart({"params": info}, good)),
        (
            "/datastore/label?image=sample-01_T1",
            multipart({"params": info}, {"label": ("new_T1.nii.gz", GOOD)}),
        ),
    ]
    for address, form in addresses:
        refused(server, lambda address=address, form=form: server.ask("PUT", address, *form), 400)
    assert "new_T1" not in server.ask("GET", "/datastore/?output=all").json["objects"]


def test_a_label_that_is_no_image_is_refused(a_server_with_a_scan: AServer) -> None:
    server = a_server_with_a_scan
    for what in ("truncated", "corrupt", "text as NRRD", "ten million slices, NRRD"):
        suffix, content = bad_files()[what]
        form = multipart({}, {"label": (NAME + suffix, content)})
        address = "/datastore/label?image=sample-01_T1&tag=final"
        refused(server, lambda address=address, form=form: server.ask("PUT", address, *form), 422)


@pytest.mark.parametrize("way", WAYS)
def test_an_upload_over_the_limit_is_refused(a_server_with_a_scan: AServer, way: str) -> None:
    server, send = a_server_with_a_scan, WAYS[way]
    refused(server, lambda: send(server, f"{NAME}.nii", bytes(OVER_THE_LIMIT)), 413)


IN_PARTS = {
    f"/counterpart/scans?name={NAME}.nii": ("PUT", bytes(OVER_THE_LIMIT), {}),
    "/datastore/image": ("PUT", *multipart({}, {"file": (f"{NAME}.nii", bytes(OVER_THE_LIMIT))})),
    "/counterpart/jobs": ("POST", b" " * 300_000, {"Content-Type": "application/json"}),
    f"/infer/{MODEL}": ("POST", *multipart({}, {"file": ("a.nii", bytes(OVER_THE_LIMIT))})),
}


@pytest.mark.parametrize("address", IN_PARTS)
def test_an_upload_that_does_not_say_how_long_it_is_ends_at_the_limit(
    a_server_with_a_scan: AServer, address: str
) -> None:
    server, (method, body, headers) = a_server_with_a_scan, IN_PARTS[address]

    def send() -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
        sent = {"Authorization": f"Bearer {server.token}", **headers}
        parts = (body[at : at + 100_000] for at in range(0, len(body), 100_000))
        connection.request(method, address, parts, sent, encode_chunked=True)
        got = connection.getresponse()
        answer = Answer(got.status, got.read(), {k.lower(): v for k, v in got.getheaders()})
        connection.close()
        return answer

    refused(server, send, 413)


def test_an_archive_that_grows_beyond_the_limit_is_refused(a_server_with_a_scan: AServer) -> None:
    server, bomb = a_server_with_a_scan, a_zip({"a.dcm": bytes(30_000_000)})
    assert len(bomb) < 100_000
    for way in (by_scans, by_infer, by_session):
        refused(server, lambda way=way: way(server, f"{NAME}.zip", bomb), 413)


def test_an_archives_table_of_contents_is_not_read_if_it_is_long(
    a_server_with_a_scan: AServer,
) -> None:
    """It is one piece in memory, many times as large as in the file."""
    server, archive = a_server_with_a_scan, a_zip_with_a_long_table()
    answer = refused(server, lambda: by_scans(server, f"{NAME}.zip", archive), 422)
    assert answer.json["error"] == "The archive cannot be unpacked."


@pytest.mark.parametrize("token", ["wrong", "x" * 5000, TOKENS["admin"][:-1], "é€"])
def test_a_wrong_token_is_refused(a_server_with_a_scan: AServer, token: str) -> None:
    server = a_server_with_a_scan
    headers = {"Authorization": f"Bearer {token}".encode().decode("latin-1")}
    refused(server, lambda: server.ask("GET", "/info/", headers=headers, token=""), 401)


PATHS = (
    "../../etc/passwd",
    "..%2f..%2fetc%2fpasswd",
    "%2e%2e%2f%2e%2e%2fetc%2fpasswd",
    "%2e%2e/%2e%2e/etc/passwd",
    "..%5c..%5cwindows",
    "/etc/passwd",
    "%2fetc%2fpasswd",
    "....//....//etc/passwd",
    "a%00b",
    "sample-01_T1%00.nii.gz",
    "%c0%ae%c0%ae%2fetc",
    "~root",
    "C%3a%5cboot.ini",
    "$(id)",
    "{id}",
    "a%0d%0aSet-Cookie:x=1",
)
ADDRESSES = (
    ("GET", "/counterpart/jobs/{}"),
    ("DELETE", "/counterpart/jobs/{}"),
    ("GET", "/counterpart/jobs/{}/events"),
    ("GET", "/counterpart/jobs/{}/results/mask"),
    ("GET", f"/counterpart/jobs/{'0' * 32}/results/{{}}"),
    ("GET", f"/counterpart/jobs/{'0' * 32}/results/mask?format={{}}"),
    ("GET", "/counterpart/scans/{}"),
    ("DELETE", "/counterpart/scans/{}"),
    ("GET", "/session/{}"),
    ("GET", "/session/{}?image=true"),
    ("DELETE", "/session/{}"),
    ("GET", "/datastore/image?image={}"),
    ("GET", "/datastore/image/info?image={}"),
    ("DELETE", "/datastore/image?id={}"),
    ("GET", "/datastore/label?label={}&tag=final"),
    ("GET", "/datastore/label?label=sample-01_T1&tag={}"),
    ("DELETE", "/datastore/label?id=sample-01_T1&tag={}"),
    ("GET", "/datastore/label/info?label=sample-01_T1&tag={}"),
    ("GET", "/model/{}"),
    ("POST", f"/infer/{MODEL}?image={{}}"),
    ("POST", f"/infer/{MODEL}?session_id={{}}"),
    ("POST", "/infer/{}?image=sample-01_T1"),
    ("POST", "/activelearning/{}"),
)


@pytest.mark.parametrize("path", PATHS)
def test_a_path_where_an_id_belongs_is_refused(a_server_with_a_scan: AServer, path: str) -> None:
    server = a_server_with_a_scan
    with nothing_written(server):
        for method, address in ADDRESSES:
            answer = server.ask(method, address.format(path), headers={})
            check_words(answer)
            assert b"root:" not in answer.body
            assert "set-cookie" not in answer.headers
        decoded = path.replace("%2f", "/").replace("%2e", ".").replace("%5c", "\\")
        for values in ({"image": decoded}, {"scan": decoded}):
            check_words(job(server, **values), (400, 404))


def test_nothing_of_what_was_refused_is_in_any_log(a_server_with_a_scan: AServer) -> None:
    text = printed(a_server_with_a_scan)
    for said in (NAME, "passwd", "sample-01", "good_FLAIR", *TOKENS.values()):
        assert said not in text
    assert "defect" not in text and "Traceback" not in text


def test_every_address_that_is_none_answers_in_the_same_form(
    a_server_with_a_scan: AServer,
) -> None:
    server = a_server_with_a_scan
    for method in ("GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "PROPFIND"):
        for address in ("/nothing", "/static/x.js", "/ohif/", "/proxy/dicom/qido/x", "/scoring/"):
            check_words(server.ask(method, address), (404, 405))
    for method in ("PATCH", "OPTIONS", "PROPFIND", "POST", "DELETE"):
        check_words(server.ask(method, "/info/"), (405,))
    head = server.ask("HEAD", "/nothing")
    assert (head.status, head.body) == (404, b"")
