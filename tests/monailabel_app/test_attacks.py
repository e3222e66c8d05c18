"""What somebody would try who wants more of the server than it gives; each over HTTP."""

import io
import tarfile
from pathlib import Path
from urllib.parse import quote

import pytest
from a_server import SAMPLES, AServer, multipart
from bad_scans import a_zip
from hostile_bundles import a_link_in_zip, hostile_bundles
from people import TOKENS
from watching import check_words, nothing_written

MODEL = "healthy_counterpart"
SCAN = (SAMPLES / "sample-01_T2.nii.gz").read_bytes()
EVIL = "https://evil.example"


def a_form(filename: str = "x_T2.nii.gz", **fields: str) -> tuple:
    return multipart(fields, {"file": (filename, SCAN)})


def outside(server: AServer) -> set[str]:
    """Every file beside the studies and the state, where nothing may ever appear."""
    inside = (server.studies, server.state, server.app, server.folder / "registry")
    return {
        str(path)
        for path in server.folder.parent.rglob("*")
        if not any(path == root or root in path.parents for root in inside)
    }


# Writing where it does not belong.

NAMES = (
    "../up",
    "../../up",
    "labels/final/up",
    "/tmp/counterpart-up",
    "..\\up",
    "up/../../up",
    "up\x00",
    ".up",
    "up\nup",
    "-rf ..",
    "datastore_v2.json/../up",
)


@pytest.mark.parametrize("address", ["/datastore/image", "/datastore/"])
@pytest.mark.parametrize("name", NAMES)
def test_no_image_is_written_by_a_name_that_leads_elsewhere(
    a_guarded_server: AServer, name: str, address: str
) -> None:
    server, before = a_guarded_server, outside(a_guarded_server)
    with nothing_written(server):
        answer = server.ask("PUT", f"{address}?image={quote(name, safe='')}", *a_form())
    check_words(answer, (400,))
    assert outside(server) == before and not Path("/tmp/counterpart-up.nii.gz").exists()


@pytest.mark.parametrize("tag", [*NAMES, "final/../../up", "a" * 41, "final up"])
def test_no_label_is_written_by_a_tag_that_leads_elsewhere(
    a_guarded_server: AServer, tag: str
) -> None:
    server, before = a_guarded_server, outside(a_guarded_server)
    form = multipart({}, {"label": ("x.nii.gz", SCAN)})
    address = f"/datastore/label?image=sample-01_T1&tag={quote(tag, safe='')}"
    with nothing_written(server):
        answer = server.ask("PUT", address, *form)
    check_words(answer, (400, 422))
    assert outside(server) == before


@pytest.mark.parametrize(
    "filename", ["../../named_T2.nii.gz", "/tmp/named_T2.nii.gz", "..\\named_T2.nii.gz"]
)
def test_folders_before_a_files_name_are_left_away(
    a_guarded_server: AServer, filename: str
) -> None:
    server, before = a_guarded_server, outside(a_guarded_server)
    assert server.ask("PUT", "/datastore/image", *a_form(filename)).json == {"image": "named_T2"}
    assert (server.studies / "named_T2.nii.gz").read_bytes() == SCAN
    label = multipart({}, {"label": (filename, SCAN)})
    saved = server.ask("PUT", "/datastore/label?image=named_T2&tag=final", *label)
    assert saved.json == {"image": "named_T2", "label": "named_T2"}
    kept = server.ask("PUT", f"/counterpart/scans?name={quote(filename, safe='')}", SCAN).json
    assert kept["name"] == "named_T2"
    assert server.ask("DELETE", "/datastore/image?id=named_T2").status == 200
    server.ask("DELETE", f"/counterpart/scans/{kept['scan']}")
    assert outside(server) == before
    assert not list(server.folder.rglob("named_T2*"))


@pytest.mark.parametrize(
    "filename", ["x.nii.gz/../../up", "x.nii.gz\x00.exe", "x.json", "x.lock", "x.pkl", "x.tar.gz"]
)
def test_a_suffix_that_is_of_no_scan_is_refused(a_guarded_server: AServer, filename: str) -> None:
    with nothing_written(a_guarded_server):
        answer = a_guarded_server.ask("PUT", "/datastore/image", *a_form(filename))
    check_words(answer, (400, 415))


def test_an_image_that_is_there_is_not_replaced(a_guarded_server: AServer) -> None:
    with nothing_written(a_guarded_server):
        answer = a_guarded_server.ask("PUT", "/datastore/image?image=sample-01_T1", *a_form())
    check_words(answer, (409,))


def test_a_dangling_link_among_the_studies_leads_nobody_out(a_guarded_server: AServer) -> None:
    server = a_guarded_server
    target, link = server.folder / "linked-out.nii.gz", server.studies / "linked_T2.nii.gz"
    link.symlink_to(target)
    try:
        answer = server.ask("PUT", "/datastore/image?image=linked_T2", *a_form())
        check_words(answer, (409,))
        assert not target.exists()
    finally:
        link.unlink()


# Reading what was not offered.


@pytest.fixture(scope="module")
def a_secret_scan(a_guarded_server: AServer) -> Path:
    path = a_guarded_server.folder / "secret_T1.nii.gz"
    path.write_bytes(SCAN)
    return path


def paths_to(server: AServer, secret: Path) -> list[str]:
    relative = "../" + secret.name
    plain = [str(secret), relative, f"labels/../../{secret.name}", f"file://{secret}"]
    bare = [one.removesuffix(".nii.gz") for one in plain]
    return [*plain, *bare, str(server.state / "secret.key")]


def test_no_address_reads_a_file_by_its_path(
    a_guarded_server: AServer, a_secret_scan: Path
) -> None:
    server = a_guarded_server
    form = multipart({"params": "{}"}, {})
    for path in paths_to(server, a_secret_scan):
        name = quote(path, safe="")
        with nothing_written(server):
            answers = [
                server.ask("POST", f"/infer/{MODEL}?image={name}", *form),
                server.ask("POST", f"/infer/{MODEL}?session_id={name}", *form),
                server.ask("GET", f"/datastore/image?image={name}"),
                server.ask("HEAD", f"/datastore/image?image={name}"),
                server.ask("GET", f"/datastore/image/info?image={name}"),
                server.ask("GET", f"/datastore/label?label={name}&tag=final"),
                server.ask("GET", f"/datastore/label?label=sample-01_T1&tag={name}"),
                server.ask("GET", f"/datastore/label/info?label={name}&tag=final"),
                server.ask("GET", f"/session/{name}?image=true"),
                server.ask_json("POST", "/counterpart/jobs", {"image": path}),
                server.ask_json("POST", "/counterpart/jobs", {"scan": path}),
            ]
        for answer in answers:
            assert 400 <= answer.status < 500 and SCAN[:64] not in answer.body


@pytest.mark.parametrize("name", ["image", "model", "file", "session", "label"])
def test_params_name_neither_image_nor_model(
    a_guarded_server: AServer, a_secret_scan: Path, name: str
) -> None:
    params = f'{{"{name}": "{a_secret_scan}"}}'
    with nothing_written(a_guarded_server):
        answer = a_guarded_server.ask(
            "POST", f"/infer/{MODEL}?image=sample-01_T1", *multipart({"params": params}, {})
        )
        batch = a_guarded_server.ask(
            "POST",
            f"/batch/infer/{MODEL}",
            params.encode(),
            {"Content-Type": "application/json"},
        )
    check_words(answer, (400,))
    check_words(batch, (400,))


def test_no_user_is_told_where_the_files_lie(a_guarded_server: AServer) -> None:
    server = a_guarded_server
    form = multipart({}, {"label": ("x.nii.gz", SCAN)})
    server.ask("PUT", "/datastore/label?image=sample-01_T1&tag=final", *form)
    addresses = (
        "/info/",
        "/counterpart/info",
        "/datastore/",
        "/datastore/?output=all",
        "/datastore/?output=train",
        "/datastore/image/info?image=sample-01_T1",
        "/datastore/label/info?label=sample-01_T1&tag=final",
        "/counterpart/jobs",
        "/counterpart/models",
        "/counterpart/training",
        "/counterpart/cohort",
        "/train/",
        "/openapi.json",
    )
    for address in addresses:
        answer = server.ask("GET", address, token=TOKENS["user"])
        assert answer.status in (200, 404) and str(server.folder).encode() not in answer.body
    server.ask("DELETE", "/datastore/label?id=sample-01_T1&tag=final")


# Archives.


def a_tar(name: str, packing: str = "") -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode=f"w:{packing}") as archive:
        member = tarfile.TarInfo(name)
        member.size = 4
        archive.addfile(member, io.BytesIO(b"evil"))
    return packed.getvalue()


ARCHIVES = {
    "a tar": ("a.tar", a_tar("../../../../up")),
    "a tar.gz": ("a.tar.gz", a_tar("/tmp/counterpart-up", "gz")),
    "a tar for a zip": ("a.zip", a_tar("../../up")),
    "a zip that leads up": ("a.zip", a_zip({"../../../up.dcm": b"evil", "/tmp/up.dcm": b"evil"})),
    "a zip with a link": ("a.zip", a_link_in_zip("a.dcm", "/etc/passwd")),
    "a zip within a zip": ("a.zip", a_zip({"a.zip": a_zip({"b.dcm": b"evil"})})),
}


@pytest.mark.parametrize("what", ARCHIVES)
def test_an_archive_writes_nothing_elsewhere(a_guarded_server: AServer, what: str) -> None:
    server, (name, content) = a_guarded_server, ARCHIVES[what]
    before = outside(server)
    form = multipart({}, {"files": (name, content)})
    with nothing_written(server):
        answers = [
            server.ask("PUT", "/session/?uncompress=true", *form),
            server.ask("PUT", "/session/?uncompress=false", *form),
            server.ask("PUT", f"/counterpart/scans?name={name}", content),
        ]
    for answer in answers:
        check_words(answer, (415, 422))
    assert outside(server) == before


# Weights.


@pytest.fixture
def a_mark(a_guarded_server: AServer) -> Path:
    """A file that is there only if somebody's code was run."""
    return a_guarded_server.folder / "mark"


ADDRESSES = (("PUT", f"/model/{MODEL}"), ("POST", "/counterpart/models/publish"))


@pytest.mark.parametrize("what", hostile_bundles(Path("/nothing")))
def test_a_bundle_with_code_is_refused_and_never_run(
    a_guarded_server: AServer, a_mark: Path, what: str
) -> None:
    server, before = a_guarded_server, outside(a_guarded_server)
    weights = server.ask("GET", f"/model/info/{MODEL}").json
    content = hostile_bundles(a_mark)[what]
    for method, address in ADDRESSES:
        with nothing_written(server):
            answer = server.ask(method, address, *multipart({}, {"file": ("m.zip", content)}))
        check_words(answer, (400, 413, 422))
    assert not a_mark.exists() and outside(server) == before
    assert server.ask("GET", f"/model/info/{MODEL}").json == weights


def test_weights_are_the_administrators(a_guarded_server: AServer, the_server: AServer) -> None:
    form = multipart({}, {"file": ("m.zip", hostile_bundles(Path("/nothing"))["a pickle"])})
    for method, address in ADDRESSES:
        for role in ("user", "annotator", "reviewer"):
            check_words(a_guarded_server.ask(method, address, *form, token=TOKENS[role]), (403,))
        check_words(the_server.ask(method, address, *form), (403,))
    for role in ("user", "annotator", "reviewer"):
        check_words(a_guarded_server.ask("DELETE", f"/model/{MODEL}", token=TOKENS[role]), (403,))
    check_words(a_guarded_server.ask("DELETE", f"/model/{MODEL}"), (409,))


def test_marks_of_the_cohort_are_the_administrators_by_every_way(
    a_guarded_server: AServer,
) -> None:
    server, user = a_guarded_server, TOKENS["user"]
    for info in ('{"cohort": "healthy"}', '{"subject": "somebody"}'):
        form = multipart({"params": info}, {"file": ("marked_T2.nii.gz", SCAN)})
        with nothing_written(server):
            check_words(server.ask("PUT", "/datastore/image", *form, token=user), (403,))
            info_form = multipart({"info": info}, {})
            address = "/datastore/image/info?image=sample-01_T1"
            check_words(server.ask("PUT", address, *info_form, token=user), (403,))
