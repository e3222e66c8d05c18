"""A scan of 200 MB is written, sent and fetched with little more memory than it has already.

It is done in plain Python, without Slicer.
"""

import hashlib
import json
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

SIZE = 200 << 20
BLOCK = bytes(1 << 20)
MOST_MORE_MB = 20
LIB = Path(__file__).resolve().parents[3] / "slicer_extension" / "HealthyCounterpart"
PROGRAM = """
import json, re, sys, threading
sys.modules["slicer"] = None  # importing it fails, as where there is none
from pathlib import Path
import numpy as np
from HealthyCounterpartLib.address import ServerAddress
from HealthyCounterpartLib.client import ServerClient
from HealthyCounterpartLib.scan_files import write_scan
from HealthyCounterpartLib.scan_source import SceneScan

def peak_mb():  # getrusage would tell the peak of the process that started this one
    return int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) / 1024

folder, port, stop = Path(sys.argv[1]), sys.argv[2], threading.Event()
values = np.full((200, 512, 1024), 7, np.int16)
scan = SceneScan(values[::-1, :, ::-1], np.eye(4), "scan_FLAIR")
client, told = ServerClient(ServerAddress.of("127.0.0.1:" + port)), []
client.knows_scan("0" * 64)
peaks = [peak_mb()]
sha256 = write_scan(scan, folder / "scan.nrrd", stop)
peaks.append(peak_mb())
assert client.upload(folder / "scan.nrrd", "scan_FLAIR.nrrd", told.append, stop) == sha256
peaks.append(peak_mb())
client.fetch("0" * 32, "anomaly", "nii", folder / "map.nii", told.append, stop)
peaks.append(peak_mb())
print(json.dumps({"peaks": peaks, "told": len(told)}))
"""


class Streaming(BaseHTTPRequestHandler):
    """Hashes what comes, and sends as much."""

    def do_PUT(self) -> None:
        digest, left = hashlib.sha256(), int(self.headers["Content-Length"])
        while left:
            block = self.rfile.read(min(left, len(BLOCK)))
            digest.update(block)
            left -= len(block)
        self._send(json.dumps({"scan": digest.hexdigest()}).encode(), 1)

    def do_GET(self) -> None:
        large = "/results/" in self.path
        self._send(BLOCK if large else b"{}", SIZE // len(BLOCK) if large else 1)

    def _send(self, block: bytes, times: int) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(block) * times))
        self.end_headers()
        for _ in range(times):
            self.wfile.write(block)

    def log_message(self, *what: object) -> None:
        """Nothing is printed."""


@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is read as Linux tells it")
def test_a_large_scan_is_streamed(tmp_path: Path) -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Streaming)
    thread = Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        words = [sys.executable, "-c", PROGRAM, str(tmp_path), str(server.server_address[1])]
        done = subprocess.run(
            words, cwd=LIB, capture_output=True, text=True, timeout=120, check=False
        )
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    before, *after = said["peaks"]
    assert 0 < before - SIZE / (1 << 20) < 100, "the scan itself is in memory, once"
    assert max(after) - before < MOST_MORE_MB, said["peaks"]
    assert (tmp_path / "map.nii").stat().st_size == SIZE < (tmp_path / "scan.nrrd").stat().st_size
    assert 150 < said["told"] < 250, "each percent, twice"
    print(f"peak memory, MB: {said['peaks']}")
    for path in tmp_path.iterdir():  # half a gigabyte that nobody needs
        path.unlink()
