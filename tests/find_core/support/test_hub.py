"""A network that swallows, refuses or dribbles: one sentence in time, and nothing is asked."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
import time

import pytest

LOAD = """
import sys, time
import find_core as fc
from find_core.encoders import LanguageConfig, build_language
began = time.monotonic()
for load in (lambda: fc.load("xueyanz/FIND:focalt"), lambda: fc.load("someone/model"),
             lambda: build_language(LanguageConfig("causal_lm", {"model": "someone/other"}))):
    try:
        load()
    except (fc.CheckpointError, fc.EncoderError) as error:
        print(error)
print(time.monotonic() - began)
"""


class Server:
    """Accepts connections and behaves in one bad way."""

    def __init__(self, behaviour):
        self.behaviour = behaviour
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.address = f"http://127.0.0.1:{self.socket.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection):
        if self.behaviour == "closes":
            connection.close()
        while self.behaviour == "dribbles":
            try:
                connection.sendall(b"H")
            except OSError:
                return
            time.sleep(0.5)
        time.sleep(600)


@pytest.mark.parametrize("behaviour", ["swallows", "dribbles", "closes", "refuses"])
def test_a_hub_that_does_not_answer(tmp_path, behaviour):
    server = Server(behaviour)
    if behaviour == "refuses":
        server.socket.close()
    environment = {"HF_ENDPOINT": server.address, "HF_HOME": str(tmp_path), "PATH": "/usr/bin:/bin",
                   "PYTHONPATH": ":".join(filter(None, sys.path)), "HOME": str(tmp_path)}  # fmt: skip
    code = "import find_core.support.hub as hub; hub.ANSWER_WITHIN_S = 3.0\n" + LOAD
    code = code.replace("hub.ANSWER_WITHIN_S = 3.0", "hub.hub_answers.__defaults__ = (3.0,)")
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True,
                          text=True, timeout=120, stdin=subprocess.DEVNULL)  # fmt: skip
    *sentences, seconds = done.stdout.strip().splitlines()
    assert len(sentences) == 3, done.stderr
    assert all("does not answer" in s for s in sentences)
    assert float(seconds) < 30


def test_code_that_comes_with_a_model_is_neither_run_nor_asked_about(tmp_path):
    pytest.importorskip("transformers")
    (tmp_path / "model.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\nclass C: pass\n")
    config = {"model_type": "own", "auto_map": {"AutoConfig": "model.C", "AutoModel": "model.C"}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    code = (
        "from find_core.encoders import LanguageConfig, build_language\n"
        "from find_core.errors import EncoderError\n"
        "try:\n"
        f"    build_language(LanguageConfig('causal_lm', {{'model': {str(tmp_path)!r}}}))\n"
        "except EncoderError as error:\n    print('sentence:', error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], input="y\n" * 9, capture_output=True,
                          text=True, timeout=120)  # fmt: skip
    assert "sentence:" in done.stdout and "[y/N]" not in done.stdout + done.stderr
    assert not (tmp_path / "ran").exists()
