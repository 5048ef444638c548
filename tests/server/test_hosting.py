"""A lab's routes in somebody else's application: its server stops although clients listen to what never ends."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

PROGRAM = """
import threading, time
import uvicorn
from fastapi import FastAPI
from actorlab import Lab
from actorlab.server import router

with Lab() as lab:
    application = FastAPI()
    application.include_router(router(lab), prefix="/lab")
    config = uvicorn.Config(application, port=0, log_level="warning")
    server = uvicorn.Server(config)

    def tell():
        while not server.started:
            time.sleep(0.01)
        print(server.servers[0].sockets[0].getsockname()[1], flush=True)

    threading.Thread(target=tell).start()
    server.run()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="it sends signals")
def test_the_server_around_stops_while_somebody_listens(tmp_path: Path) -> None:
    file = tmp_path / "program.py"
    file.write_text(PROGRAM)
    with subprocess.Popen([sys.executable, file], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            url = f"http://127.0.0.1:{process.stdout.readline().strip()}/lab"
            with httpx.stream("GET", f"{url}/events", timeout=20) as stream:
                lines = stream.iter_lines()
                assert next(lines)
                process.send_signal(signal.SIGINT)
                assert list(lines), "it ends"
            assert process.wait(20) is not None
        finally:
            process.kill()
