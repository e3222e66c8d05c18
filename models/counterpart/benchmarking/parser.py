"""The arguments of ``counterpart bench``: what generating, training, serving and searching cost.

Like `counterpart.cli` it imports nothing heavy before a command runs.
"""

from __future__ import annotations

import argparse
from pathlib import Path

STAGES = ("denoiser", "encoder", "brain")


def add_bench(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command with its own subcommands."""
    parser = commands.add_parser("bench", help="measure time and memory: generate, train, server")
    benches = parser.add_subparsers(dest="bench", required=True, metavar="WHAT")
    _add_generate(benches)
    _add_train(benches)
    _add_server(benches)
    _add_references(benches)


def _add_generate(benches: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = benches.add_parser(
        "generate", help="seconds by stage, cold and warm, memory, arithmetic of the denoiser"
    )
    parser.add_argument(
        "scan", nargs="?", type=Path, metavar="SCAN", help="of your own (the sample head)"
    )
    parser.add_argument("--model", default="healthy-brain", help="name or folder of a bundle")
    parser.add_argument(
        "--brain-model", default="brain-extraction", help="bundle of the brain network"
    )
    parser.add_argument("--device", default="cpu", help="torch device: cpu, cuda, cuda:1, … (cpu)")
    parser.add_argument("--repeats", type=int, default=3, help="of each figure (3)")
    parser.add_argument(
        "--shape",
        type=int,
        nargs=3,
        metavar="N",
        help="of the sample head, voxels of 1 mm (240 240 155)",
    )
    parser.add_argument("--threads", type=int, help="of torch (its own choice)")
    _add_destination(parser)
    parser.set_defaults(run=_generate)


def _add_train(benches: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = benches.add_parser(
        "train", help="seconds per step, of which making the examples and the network"
    )
    parser.add_argument("--cohort", type=Path, required=True, help="from `counterpart prepare`")
    parser.add_argument("--stage", choices=STAGES, default="denoiser")
    parser.add_argument("--steps", type=int, default=20, help="that count (20)")
    parser.add_argument("--batch-size", type=int, help="samples per step (the stage's own)")
    parser.add_argument("--channels", type=int, nargs="+", help="widths (the stage's own)")
    parser.add_argument("--device", choices=("auto", "cpu", "gpu"), default="auto")
    _add_destination(parser)
    parser.set_defaults(run=_train)


def _add_server(benches: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = benches.add_parser(
        "server", help="start-up, jobs, answer times meanwhile, memory, many clients at once"
    )
    parser.add_argument("--url", default="http://127.0.0.1:8000", help="(http://127.0.0.1:8000)")
    parser.add_argument("--clients", type=int, default=8, help="that ask at once (8)")
    parser.add_argument("--seconds", type=float, default=20.0, help="for which they ask (20)")
    parser.add_argument(
        "--pause", type=float, default=0.1, help="seconds of a client between requests (0.1)"
    )
    parser.add_argument("--path", action="append", metavar="PATH", help="may be repeated (/info/)")
    parser.add_argument("--token-file", type=Path, help="file with a token for the server")
    parser.add_argument(
        "--image",
        action="append",
        default=[],
        metavar="ID",
        help="repaint this image of the studies meanwhile; may be repeated",
    )
    parser.add_argument("--crowd", type=int, default=32, help="that ask for jobs at once (32)")
    parser.add_argument(
        "--studies",
        type=Path,
        metavar="DIR",
        help="start a server on these scans instead, and repaint all of them",
    )
    parser.add_argument("--model", help="of that server (healthy-brain)")
    parser.add_argument("--device", help="of that server (cpu)")
    _add_destination(parser)
    parser.set_defaults(run=_server)


def _add_references(benches: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = benches.add_parser(
        "references", help="seconds of the search for healthy references, by their number"
    )
    parser.add_argument(
        "--subjects", type=int, nargs="+", default=[100, 1000, 10_000, 100_000], metavar="N"
    )
    parser.add_argument("--repeats", type=int, default=5, help="of each search (5)")
    _add_destination(parser)
    parser.set_defaults(run=_references)


def _add_destination(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-o", "--out", type=Path, metavar="FILE.json", help="all figures as JSON")
    parser.add_argument(
        "--document",
        type=Path,
        metavar="FILE.md",
        help="put the tables between the marks of this benchmark in a Markdown document",
    )


def _generate(options: argparse.Namespace) -> int:
    from counterpart.benchmarking.commands import bench_generate
    from counterpart.benchmarking.generating import GenerateBench
    from counterpart.benchmarking.record import Destination

    bench = GenerateBench(
        scan=options.scan,
        model=options.model,
        brain_model=options.brain_model,
        device=options.device,
        repeats=options.repeats,
        shape=tuple(options.shape) if options.shape else None,
        threads=options.threads,
    )
    return bench_generate(bench, Destination(options.out, options.document))


def _train(options: argparse.Namespace) -> int:
    from counterpart.benchmarking.commands import bench_train
    from counterpart.benchmarking.record import Destination
    from counterpart.benchmarking.training_steps import TrainBench

    bench = TrainBench(
        cohort=options.cohort,
        stage=options.stage,
        steps=options.steps,
        batch_size=options.batch_size,
        channels=options.channels,
        device=options.device,
    )
    return bench_train(bench, Destination(options.out, options.document))


def _server(options: argparse.Namespace) -> int:
    from counterpart.benchmarking.answer_times import ServerBench, read_token
    from counterpart.benchmarking.commands import bench_server
    from counterpart.benchmarking.record import Destination

    bench = ServerBench(
        url=options.url,
        paths=tuple(options.path or ["/info/"]),
        clients=options.clients,
        seconds=options.seconds,
        pause_s=options.pause,
        images=tuple(options.image),
        token=read_token(options.token_file) if options.token_file else None,
        crowd=options.crowd,
        studies=options.studies,
        model=options.model,
        device=options.device,
    )
    return bench_server(bench, Destination(options.out, options.document))


def _references(options: argparse.Namespace) -> int:
    from counterpart.benchmarking.commands import bench_references
    from counterpart.benchmarking.record import Destination

    destination = Destination(options.out, options.document)
    return bench_references(options.subjects, options.repeats, destination)
