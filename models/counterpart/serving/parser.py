"""The arguments of ``counterpart serve`` and ``counterpart demo``.

Like `counterpart.cli` it imports nothing heavy before a command runs.
"""

from __future__ import annotations

import argparse
from pathlib import Path


def add_serve(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command that starts the server."""
    parser = commands.add_parser(
        "serve",
        help="start the MONAI Label server for 3D Slicer, OHIF and scripts",
        description="Starts the MONAI Label server. What is not said here is taken from the "
        "environment: COUNTERPART_STATE, COUNTERPART_TOKEN_FILE, COUNTERPART_MODEL, and so on.",
    )
    parser.add_argument(
        "--studies", required=True, metavar="DIR", help="folder with scans, or a DICOMweb address"
    )
    parser.add_argument("--host", default="127.0.0.1", help="to listen on (127.0.0.1)")
    parser.add_argument("--port", type=int, default=8000, help="to listen on (8000)")
    parser.add_argument("--state", type=Path, metavar="DIR", help="for jobs, results, logs")
    parser.add_argument("--model", help="name or folder of a bundle (healthy-brain)")
    parser.add_argument("--device", help="torch device: cpu, cuda, cuda:1, … (cpu)")
    parser.add_argument("--verbose", action="store_true", help="show what the server itself says")
    _add_access(parser)
    _add_limits(parser)
    parser.set_defaults(run=_serve)


def add_demo(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command that shows the server on the sample patient."""
    parser = commands.add_parser(
        "demo", help="start the server on the sample patients and ask it for a counterpart"
    )
    parser.add_argument("-o", "--out", type=Path, default=Path("counterpart-demo"))
    parser.add_argument("--model", default="healthy-brain", help="name or folder of a bundle")
    parser.add_argument("--device", default="cpu", help="torch device: cpu, cuda, cuda:1, … (cpu)")
    parser.add_argument("--port", type=int, default=8000, help="another, if it is taken (8000)")
    parser.add_argument("--once", action="store_true", help="end after the report")
    parser.set_defaults(run=_demo)


def _add_access(parser: argparse.ArgumentParser) -> None:
    access = parser.add_argument_group("who may ask")
    access.add_argument(
        "--token-file", type=Path, metavar="F", help="one token, or lines NAME ROLE TOKEN"
    )
    access.add_argument(
        "--insecure", action="store_true", help="serve other machines without tokens"
    )
    access.add_argument(
        "--references-cohort",
        type=Path,
        metavar="DIR",
        help="let readers see the healthy references' scans, from this prepared cohort",
    )
    access.add_argument("--ssl-keyfile", type=Path, metavar="F", help="private key, PEM")
    access.add_argument("--ssl-certfile", type=Path, metavar="F", help="certificates, PEM")
    access.add_argument(
        "--ssl-keyfile-password",
        metavar="WORD",
        help="of the key; seen by all accounts of the machine, so better a key without one",
    )
    access.add_argument("--ssl-ca-certs", type=Path, metavar="F", help="who signs clients, PEM")
    access.add_argument(
        "--root-path", default="", metavar="P", help="path at which a reverse proxy shows it"
    )


def _add_limits(parser: argparse.ArgumentParser) -> None:
    limits = parser.add_argument_group("limits")
    for name, words in (
        ("cache-gb", "that results may take (10)"),
        ("cache-days", "for which a result is kept after its last use (30)"),
        ("upload-mb", "that an upload may have (2000)"),
        ("upload-days", "for which an upload is kept after its last use (30)"),
    ):
        limits.add_argument(f"--{name}", type=float, metavar="N", help=words)


def _serve(options: argparse.Namespace) -> int:
    from counterpart.serving.commands import serve
    from counterpart.serving.options import Encryption, ServeOptions

    return serve(
        ServeOptions(
            studies=options.studies,
            host=options.host,
            port=options.port,
            token_file=options.token_file,
            model=options.model,
            device=options.device,
            state=options.state,
            insecure=options.insecure,
            cache_gb=options.cache_gb,
            cache_days=options.cache_days,
            upload_mb=options.upload_mb,
            upload_days=options.upload_days,
            references_cohort=options.references_cohort,
            encryption=Encryption(
                options.ssl_keyfile,
                options.ssl_certfile,
                options.ssl_keyfile_password,
                options.ssl_ca_certs,
            ),
            root_path=options.root_path,
            verbose=options.verbose,
        )
    )


def _demo(options: argparse.Namespace) -> int:
    from counterpart.serving.demo import run_demo

    return run_demo(
        options.out,
        model=options.model,
        device=options.device,
        port=options.port,
        once=options.once,
    )
