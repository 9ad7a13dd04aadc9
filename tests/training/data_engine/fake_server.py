"""A server in OpenAI's chat form, on this machine, that does as it is told: well, badly, or not at all."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

SEGMENT = re.compile(r"^(\d+): ([\w -]+), box", re.M)
Answer = tuple[int, dict[str, str], "bytes | Iterable[bytes]"]


def chat(content: Any, usage: Any = None) -> Answer:
    """A chat completion with that content."""
    body = {"choices": [{"message": {"role": "assistant", "content": content}}]}
    if usage is not None:
        body["usage"] = usage
    return 200, {}, json.dumps(body).encode()


def segments_of(body: dict[str, Any]) -> list[tuple[str, str]]:
    """(id, class) of the image that is asked about."""
    return SEGMENT.findall(body["messages"][-1]["content"])


def good(body: dict[str, Any], number: int) -> Answer:
    """One sentence about the first two segments."""
    (a, one), (b, two) = segments_of(body)[:2]
    text = json.dumps({"sentences": [f"[{a}]<The {one}> is near [{b}]<the {two}>."]})
    return chat(text, {"prompt_tokens": 500, "completion_tokens": 40})


class FakeServer:
    """`answer(body, number of the request)` may be set; `requests` are what came."""

    def __init__(self) -> None:
        self.answer: Callable[[dict[str, Any], int], Answer] = good
        self.requests: list[tuple[dict[str, str], dict[str, Any]]] = []
        self._lock = threading.Lock()
        fake = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                content = self.rfile.read(int(self.headers["content-length"]))
                with fake._lock:
                    fake.requests.append((dict(self.headers), json.loads(content)))
                    number = len(fake.requests)
                status, headers, body = fake.answer(fake.requests[number - 1][1], number)
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()
                try:
                    for part in [body] if isinstance(body, bytes) else body:
                        self.wfile.write(part)
                        self.wfile.flush()
                except OSError:
                    pass  # the client has had enough

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}/v1"

    def asked_about(self) -> list[str]:
        """The segments' lines of every request: which image it was."""
        return [body["messages"][-1]["content"] for _, body in self.requests]

    def __enter__(self) -> FakeServer:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: Any) -> None:
        self._server.shutdown()
        self._server.server_close()
