"""A network that swallows, refuses or dribbles: one sentence in time, and nothing is asked."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
import time

import pytest

import find_core as fc
from find_core.encoders import LanguageConfig, build_language
from find_core.support import hub


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


BEHAVIOURS = ["swallows", "dribbles", "closes", "refuses"]


@pytest.fixture(params=BEHAVIOURS)
def bad_hub(request, tmp_path, monkeypatch):
    """The hub's client, pointed at a server that behaves in one bad way, with an empty cache."""
    constants = pytest.importorskip("huggingface_hub.constants")
    server = Server(request.param)
    if request.param == "refuses":
        server.socket.close()
    monkeypatch.setattr(constants, "ENDPOINT", server.address)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(hub, "_last", (-hub._REMEMBER_S, "", False))
    monkeypatch.setenv(hub.TIMEOUT_VARIABLE, "0.3")
    yield server
    server.socket.close()


LOADS = {
    "published": lambda: fc.load("xueyanz/FIND:focalt"),
    "hub id": lambda: fc.load("someone/model"),
    "language": lambda: build_language(LanguageConfig("causal_lm", {"model": "someone/other"})),
}


def test_a_hub_that_does_not_answer(bad_hub):
    for load in LOADS.values():
        with pytest.raises(
            (fc.CheckpointError, fc.EncoderError), match=r"not answer within 0\.3 s"
        ):
            load()


def test_the_hub_is_asked_once_and_no_longer_than_was_said(bad_hub, monkeypatch):
    waited = []
    join = threading.Thread.join
    monkeypatch.setattr(
        threading.Thread,
        "join",
        lambda self, timeout=None: (waited.append(timeout), join(self, timeout)),
    )
    assert not hub.hub_answers() and not hub.hub_answers()
    assert waited == [0.3]


@pytest.mark.parametrize("said", ["0", "-1", "61", "nan", "soon", ""])
def test_exception_of_a_time_that_is_none(monkeypatch, said):
    monkeypatch.setenv(hub.TIMEOUT_VARIABLE, said)
    with pytest.raises(fc.EncoderError, match="FIND_HUB_TIMEOUT_S"):
        hub.answer_within_s()


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
