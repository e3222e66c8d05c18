"""Starting, waiting for and stopping a server process, with a stand-in that is a real one."""

import os
import signal
import socket
import stat
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from rich.console import Console
from server_stand_in import INFO, TOKEN
from serving_plans import PlanOf

from counterpart.errors import ServingError
from counterpart.package_data import package_data
from counterpart.serving.options import ServeOptions
from counterpart.serving.plan import plan_server
from counterpart.serving.server_process import ServerProcess
from counterpart.serving.start_screen import show_start
from counterpart.serving.state_folder import default_state, make_app_folder, open_log, shorten_log

NO_DEVICE = "import sys; sys.exit('--device cuda: this machine cannot compute there.')"


def test_a_server_is_waited_for_and_its_chatter_goes_to_a_file(plan_of: PlanOf) -> None:
    plan = plan_of("token", environment={"COUNTERPART_TOKEN": TOKEN})
    with ServerProcess(plan) as process:
        assert process.wait_until_ready() > 0.0
        assert process.client().info() == INFO
    assert not psutil.pid_exists(process.pid)
    log = plan.state / "server.log"
    assert f"start on {plan.address.url}\nlistening\n" in log.read_text()
    assert stat.S_IMODE(log.stat().st_mode) == 0o600
    assert stat.S_IMODE(plan.state.stat().st_mode) == 0o700


def test_a_server_that_dies_is_said_in_its_own_words(plan_of: PlanOf) -> None:
    said = pytest.raises(ServingError, match=r"^the key is missing\.$")
    with ServerProcess(plan_of("dies")) as process, said:
        process.wait_until_ready()


def test_a_device_that_is_not_there_ends_the_start(plan_of: PlanOf) -> None:
    said = pytest.raises(ServingError, match="^--device cuda: this machine cannot compute there")
    with ServerProcess(plan_of(check=NO_DEVICE)) as process, said:
        process.wait_until_ready()
    assert not psutil.pid_exists(process.pid)


def test_a_device_that_torch_lacks_is_said_in_one_sentence() -> None:
    command = [sys.executable, "-m", "counterpart.serving.device_check"]
    done = subprocess.run([*command, "abacus"], capture_output=True, text=True)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert done.stderr.startswith("--device abacus: this machine cannot compute there (")


def test_a_server_that_says_nothing_is_given_up_with_its_last_words(plan_of: PlanOf) -> None:
    said = pytest.raises(ServingError, match=r"did not answer within 0\.1 s.*\n.*\n  thinking\n")
    with ServerProcess(plan_of("silent")) as process, said:
        while "thinking" not in process._log_tail():
            time.sleep(0.05)
        process.wait_until_ready(0.1)


def test_a_port_that_another_process_serves_is_not_taken_for_ours(plan_of: PlanOf) -> None:
    theirs = plan_of("good")
    ours = replace(plan_of("silent"), port=theirs.port, state=theirs.state.with_name("other"))
    with ServerProcess(theirs) as there:
        there.wait_until_ready()
        said = pytest.raises(ServingError, match="did not answer within 0.5 s")
        with ServerProcess(ours) as process, said:
            process.wait_until_ready(0.5)


def test_two_servers_never_share_a_state(plan_of: PlanOf) -> None:
    with ServerProcess(plan_of()) as first:
        with pytest.raises(ServingError, match=f"another server works there .process {first.pid}."):
            ServerProcess(plan_of())
        # Should the launcher be killed, the server holds the lock itself.
        first._lock.close()
        with pytest.raises(ServingError, match="another server works there"):
            ServerProcess(plan_of())
    ServerProcess(plan_of()).stop()


def test_a_server_that_will_not_go_is_asked_harder(
    plan_of: PlanOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "counterpart.serving.server_process._HARDER",
        ((signal.SIGTERM, 0.05), (signal.SIGINT, 10.0), (signal.SIGKILL, 5.0)),
    )
    with ServerProcess(plan_of("stubborn")) as process:
        process.wait_until_ready()
    assert process._server.returncode not in (0, -signal.SIGTERM, -signal.SIGKILL)


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_to_the_launcher_ends_server_and_launcher(sent: int, studies: Path) -> None:
    program = (
        "import sys\n"
        f"sys.path[:0] = {[str(Path(__file__).parent), str(Path(__file__).parents[1])]!r}\n"
        "from serving_plans import StandInPlan\n"
        "from counterpart.serving import commands\n"
        "real = commands.plan_server\n"
        "commands.plan_server = lambda *given: StandInPlan(**vars(real(*given)))\n"
        "from counterpart.cli import main\n"
        "sys.exit(main(sys.argv[1:]))\n"
    )
    from server_stand_in import a_free_port

    state = studies.parent / "state"
    arguments = ["serve", "--studies", str(studies), "--port", str(a_free_port())]
    command = [sys.executable, "-c", program, *arguments, "--state", str(state)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as launcher:
        assert launcher.stdout is not None
        lines = [launcher.stdout.readline() for _ in range(11)]
        (server,) = psutil.Process(launcher.pid).children()
        launcher.send_signal(sent)
        rest, errors = launcher.communicate(timeout=60)
    assert lines[-1].startswith("Ready after "), (lines, rest, errors)
    assert (launcher.returncode, errors) == (0, "")
    assert not server.is_running()


def test_the_screen_says_all_that_matters(plan_of: PlanOf, studies: Path) -> None:
    def screen(**options: object) -> str:
        console = Console(width=60, record=True, file=open(os.devnull, "w"))  # noqa: SIM115
        with console.file:
            show_start(console, plan_of(**options), INFO, 1.25)
        return console.export_text()

    text = screen()
    assert "AI-generated, research use only" in text
    assert f"{studies}: 4 scans (2 T1, 1 FLAIR, 1 unknown, by their names)" in text
    assert "healthy-brain 9.9, weights c0ffeec0ffee\n" in text
    assert "T1 (40 healthy scans), FLAIR (simulated)" in text
    assert "this machine only, as administrator" in text
    assert "/docs" in text
    assert len(text.splitlines()) <= 24
    tokens = studies.parent / "tokens"
    tokens.write_text(f"ann admin {TOKEN}\nbob user {TOKEN[::-1]}\n")
    tokens.chmod(0o600)
    text = screen(token_file=tokens)
    assert "ann (admin): everything; bob (user): ask and label" in text
    assert TOKEN not in text
    text = screen(host="0.0.0.0", insecure=True)
    assert "everybody: ask and label" in text
    assert f"from other machines http://{socket.gethostname()}:" in text


def test_the_app_folder_has_links_to_the_package_that_are_renewed(tmp_path: Path) -> None:
    code = package_data("monailabel_app").resolve()
    for _ in range(2):
        app = make_app_folder(tmp_path, dicomweb=False)
        assert (app / "lib").resolve() == code / "lib"
        (app / "lib").unlink()
        (app / "lib").symlink_to(tmp_path / "an earlier version")
    converter = make_app_folder(tmp_path, dicomweb=True) / "bin" / "itkimage2segimage"
    assert subprocess.run([converter], capture_output=True).returncode == 1
    (app / "lib").unlink()
    (app / "lib").mkdir()
    with pytest.raises(ServingError, match="expected a link to .*move what lies there away"):
        make_app_folder(tmp_path, dicomweb=False)


def test_a_long_log_begins_anew_while_the_server_writes_it(tmp_path: Path) -> None:
    with open_log(tmp_path) as log:
        log.write(b"x" * (11 << 20))
        log.flush()
        shorten_log(tmp_path)
        log.write(b"new")
        log.flush()
        shorten_log(tmp_path)
    assert (tmp_path / "server.log").read_bytes() == b"new"
    assert (tmp_path / "server.log.1").stat().st_size == 11 << 20


def test_the_state_follows_the_studies(tmp_path: Path, studies: Path) -> None:
    data = {"XDG_DATA_HOME": str(tmp_path)}
    folder = default_state(str(studies), data)
    assert folder.parent == tmp_path / "counterpart" / "server"
    (tmp_path / "link").symlink_to(studies)
    assert default_state(str(tmp_path / "link"), data) == folder
    assert folder.name.startswith("studies-")
    other = default_state("https://pacs.example/dicom-web/", data)
    assert other.name.startswith("dicom-web-")
    assert plan_server(ServeOptions(str(studies), port=45_671), data).state == folder
