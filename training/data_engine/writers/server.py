"""Sentences by any server that speaks OpenAI's chat form: POST URL/chat/completions.

Nothing is followed, retried or believed here: one request, one answer, in bounded time and bytes.
Limits on number, rate and cost are the run's (`training.data_engine.budget`).
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx

from find_core.errors import FindError
from find_core.support.printable import quoted, shown
from find_core.support.strict_json import parse_json
from training.data_engine.images import LabelledImage
from training.data_engine.writers.asking import (
    CHARS_A_TOKEN,
    messages,
    read_answers,
)
from training.data_engine.writers.base import NoAnswerError, Reply, Usage, Wish, WriterError

MOST_BYTES = 1_000_000
"""Of one response."""
LONGEST_WAIT_S = 120.0
"""A server's "Retry-After" counts for at most so long."""
_HOPELESS = {400, 401, 402, 403, 404, 405, 410, 422}
"""Statuses that the next request would get too."""


@dataclass(frozen=True)
class ServerSettings:
    """
    Attributes:
        url: up to and with the version, e.g. "https://api.openai.com/v1" or "http://localhost:8000/v1".
        model: as the server calls it. key_variable: environment variable that holds the key, if any.
        answer_tokens: most tokens of an answer. timeout_s: of a whole request.
        temperature, seed: as the server understands them.
    """

    url: str
    model: str
    key_variable: str = "OPENAI_API_KEY"
    answer_tokens: int = 600
    timeout_s: float = 60.0
    temperature: float = 0.0
    seed: int = 0


class ServerWriter:
    """One request an image and attempt.

    Raises:
        WriterError: the address is none, or carries a key.
    """

    def __init__(
        self, settings: ServerSettings, clock: Callable[[], float] = time.monotonic
    ) -> None:
        try:
            url = httpx.URL(settings.url)
        except httpx.InvalidURL:
            url = httpx.URL("")
        host = re.fullmatch(r"[\w.:-]+", url.host)
        if url.scheme not in ("http", "https") or not host or url.userinfo or url.query:
            raise WriterError(
                f"{quoted(settings.url)} is no server's address: give it as http://HOST:PORT/v1, and "
                "the key in an environment variable."
            )
        self.settings, self._clock = settings, clock
        self._client = httpx.Client(timeout=settings.timeout_s, follow_redirects=False)

    def write(self, image: LabelledImage, wish: Wish) -> Reply:
        """
        Raises:
            WriterError: the server refuses us as such. NoAnswerError: not this time.
        """
        conversation = messages(image, wish)
        body = {
            "model": self.settings.model, "messages": conversation, "stream": False,
            "max_tokens": self.settings.answer_tokens, "temperature": self.settings.temperature,
            "seed": self.settings.seed + wish.attempt,
        }  # fmt: skip
        status, headers, content = self._post(body)
        if status != 200:
            self._raise_for(status, headers, content)
        text, told = _content(content)
        spent = Usage(
            max(told.asked, sum(len(m["content"]) for m in conversation) // (2 * CHARS_A_TOKEN)),
            max(told.answered, len(text) // (2 * CHARS_A_TOKEN)),
        )  # a server that counts less than a tokenizer could is not believed
        try:
            return Reply(read_answers(text), spent)
        except NoAnswerError as error:
            raise NoAnswerError(str(error), used=spent) from None

    def _post(self, body: dict[str, Any]) -> tuple[int, httpx.Headers, bytes]:
        """Status, headers and at most `MOST_BYTES`, within the time of the whole request."""
        key = os.environ.get(self.settings.key_variable, "") if self.settings.key_variable else ""
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        until = self._clock() + self.settings.timeout_s
        content = b""
        try:
            where = self.settings.url.rstrip("/") + "/chat/completions"
            with self._client.stream("POST", where, json=body, headers=headers) as response:
                for chunk in response.iter_raw():
                    content += chunk
                    if len(content) > MOST_BYTES:
                        raise NoAnswerError(f"The server sent more than {MOST_BYTES} bytes.")
                    if self._clock() > until:
                        raise NoAnswerError(
                            f"The answer took longer than {self.settings.timeout_s} s."
                        )
                return response.status_code, response.headers, content
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise NoAnswerError(
                f"No answer ({type(error).__name__}: {shown(error, 100)})."
            ) from None

    def _raise_for(self, status: int, headers: httpx.Headers, content: bytes) -> None:
        said = shown(content[:200].decode("utf-8", "replace"), 200)
        if status in _HOPELESS or 300 <= status < 400:
            raise WriterError(
                f"The server answers {status} ({said}): check --url, --model and the key in "
                f"${self.settings.key_variable}."
            )
        raise NoAnswerError(f"The server answers {status} ({said}).", _wait(headers))


def _wait(headers: httpx.Headers) -> float:
    try:
        return min(LONGEST_WAIT_S, max(0.0, float(headers.get("retry-after", 0))))
    except ValueError:  # a date
        return LONGEST_WAIT_S / 4


def _content(content: bytes) -> tuple[str, Usage]:
    """The answer's text and the tokens that the server counts.

    Raises:
        NoAnswerError: it is not in the chat form.
    """
    try:
        data = parse_json(content, "The response", FindError, max_chars=MOST_BYTES)
        text = data["choices"][0]["message"]["content"]
    except (FindError, LookupError, TypeError) as error:
        raise NoAnswerError(f"The response is no chat completion ({shown(error, 100)}).") from None
    if not isinstance(text, str):
        raise NoAnswerError("The response holds no text.")
    usage = data.get("usage")
    usage = usage if isinstance(usage, dict) else {}
    return text, Usage(_count(usage.get("prompt_tokens")), _count(usage.get("completion_tokens")))


def _count(value: Any) -> int:
    whole = isinstance(value, int) and not isinstance(value, bool)
    return value if whole and 0 <= value <= 10_000_000 else 0
