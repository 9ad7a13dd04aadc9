"""A server that answers well, badly, slowly, with lies, or not at all."""

from __future__ import annotations

import itertools
import json

import pytest

from tests.training.data_engine.fake_server import chat, good, segments_of
from training.data_engine.ask import Asker
from training.data_engine.budget import Budget, Limits
from training.data_engine.writers import server as module
from training.data_engine.writers.base import NoAnswerError, Usage, Wish, WriterError
from training.data_engine.writers.server import ServerSettings, ServerWriter
from training.data_engine.writers.sources import ServerSource


def settings(server, **more) -> ServerSettings:
    return ServerSettings(
        server.url, "a-model", **{"key_variable": "A_KEY", "timeout_s": 20.0, **more}
    )


@pytest.fixture
def ask(server, items, lexicon):
    """Ask the fake about image number n, checked."""
    asker = Asker(ServerSource(settings(server)), [s for i in items for s in i.names])
    return lambda n=0: asker(items[n], Wish())


def test_a_good_answer(server, ask, monkeypatch) -> None:
    monkeypatch.setenv("A_KEY", "very-secret")
    answered = ask(1)
    assert (
        answered.accepted == ("[2007]<The grass> is near [2000]<the sky>.",)
        and not answered.refused
    )
    assert answered.usage == Usage(500, 40)
    ((headers, body),) = server.requests
    assert headers["Authorization"] == "Bearer very-secret"
    assert body["model"] == "a-model" and body["max_tokens"] == 600 and body["temperature"] == 0
    question = body["messages"][-1]["content"]
    assert (
        "A young man stands on the grass, number 1" in question and "2014: person, box" in question
    )


def test_other_forms_of_a_good_answer(server, ask) -> None:
    mark = "[2014]<A man> waits."
    for content in (f"Sure!\n```json\n{json.dumps({'sentences': [mark]})}\n```", json.dumps([mark]),
                    f"Here you are:\n- {mark}\nBye.", json.dumps({"sentences": [{"sentence_raw": mark}]})):  # fmt: skip
        server.answer = lambda body, n, content=content: chat(content)
        assert ask(1).accepted == (mark,), content


@pytest.mark.parametrize(
    "answer",
    [
        chat("I cannot help with that."), chat(""), chat(None), chat(7), chat('{"sentences": ['),
        chat('{"sentences": []}'), chat("x" * 30_000), chat('{"a": 1, "a": 2}'),
        (200, {}, b"<html>hello</html>"), (200, {}, b""), (200, {}, b'{"choices": []}'),
        (200, {}, b"\xff\xfe\x00"), (500, {}, b"trouble"), (503, {"retry-after": "soon"}, b""),
        (200, {}, itertools.repeat(b"y" * 100_000, 40)),
    ],
)  # fmt: skip
def test_a_bad_answer_is_no_answer(server, ask, answer) -> None:
    server.answer = lambda body, n: answer
    answered = ask()
    assert [r.reason for r in answered.refused] == ["no answer"] and not answered.accepted


def test_lies_are_refused_with_reasons(server, ask) -> None:
    def lie(body, n):
        ids = {name: number for number, name in segments_of(body)}
        p, g = ids["person"], ids["grass"]
        return chat(json.dumps({"sentences": [
            "[999999]<A man> stands.", f"[{p}]<The grass> is green.", f"[{g}]<A man> stands.",
            f"[{p}]<A man> and [{p}]<his friend>.", f"[{p}]<Two men> stand.", 17, None,
            {"sentence_raw": f"[{p}]<A man> stands.", "sentence": "A woman stands."},
            f"[{p}]<A man> on [{g}]<the grass>.",
        ]}))  # fmt: skip

    server.answer = lie
    answered = ask()
    assert len(answered.accepted) == 1
    assert [r.reason for r in answered.refused] == ["unknown id", "another's", "another's", "twice", "several", "span"]  # fmt: skip


@pytest.mark.parametrize("usage", [{"prompt_tokens": -9}, {"prompt_tokens": "many"}, {"prompt_tokens": True},
                                   [], {"completion_tokens": 10**12}, {"prompt_tokens": 0}])  # fmt: skip
def test_counts_that_cannot_be_are_not_believed(server, ask, usage) -> None:
    server.answer = lambda body, n: chat("[1014]<A man> waits.", usage)
    used = ask().usage
    assert 100 < used.asked < 5000 and 0 < used.answered < 100


def test_a_slow_answer_is_given_up(server, items) -> None:
    """The fake drips for ever; a clock of the test's own passes the limit after some bytes."""
    server.answer = lambda body, n: (200, {}, itertools.repeat(b" "))
    seconds = itertools.count()
    writer = ServerWriter(settings(server), clock=lambda: float(next(seconds)))
    with pytest.raises(NoAnswerError, match="took longer than 20"):
        writer.write(items[0].read(), Wish())


def test_nobody_answers(items) -> None:
    writer = ServerWriter(ServerSettings("http://127.0.0.1:9/v1", "m", timeout_s=5.0))
    with pytest.raises(NoAnswerError, match="ConnectError"):
        writer.write(items[0].read(), Wish())


@pytest.mark.parametrize("status", [400, 401, 404, 302])
def test_what_will_not_change_ends_the_run(server, items, status, monkeypatch) -> None:
    monkeypatch.setenv("A_KEY", "very-secret")
    server.answer = lambda body, n: (status, {"location": server.url}, b"no such model")
    with pytest.raises(WriterError, match=f"{status} .*check --url") as error:
        ServerWriter(settings(server)).write(items[0].read(), Wish())
    assert "very-secret" not in str(error.value) and len(server.requests) == 1


def test_a_busy_server_is_left_alone(server, items) -> None:
    server.answer = lambda body, n: (429, {"retry-after": "7"}, b"")
    with pytest.raises(NoAnswerError) as error:
        ServerWriter(settings(server)).write(items[0].read(), Wish())
    assert error.value.wait_s == 7
    server.answer = lambda body, n: (429, {"retry-after": "1e9"}, b"")
    with pytest.raises(NoAnswerError) as error:
        ServerWriter(settings(server)).write(items[0].read(), Wish())
    assert error.value.wait_s == module.LONGEST_WAIT_S


@pytest.mark.parametrize("url", ["", "localhost:8000", "ftp://a/v1", "http://me:pass@a/v1", "http://a/v1?key=x", "http://[/"])  # fmt: skip
def test_addresses_that_are_none(url) -> None:
    with pytest.raises(WriterError, match="no server's address"):
        ServerWriter(ServerSettings(url, "m"))


def test_the_budget_is_never_passed() -> None:
    now = [0.0]
    budget = Budget(Limits(requests=3, per_minute=30, cost=0.01, asked_price=1, answered_price=10), lambda: now[0])  # fmt: skip
    most = Usage(1000, 300)  # 0.001 + 0.003
    for n in range(2):
        assert not budget.refuses(most) and budget.wait_s() == pytest.approx(0 if n == 0 else 2.0)
        now[0] += budget.wait_s()
        budget.set_aside(most)
    assert budget.cost == pytest.approx(0.008) and "0.0080 of 0.01" in budget.refuses(most)
    budget.book(most, Usage(500, 10))
    assert budget.cost == pytest.approx(0.0046) and not budget.refuses(most)
    budget.set_aside(most)
    assert budget.refuses(Usage()) == "all 3 requests are made"
    budget.pause(50)
    assert budget.wait_s() >= 50
    with pytest.raises(Exception, match="needs prices"):
        Limits(cost=1.0)


def test_a_server_that_counts_little_is_booked_by_its_text(server, items) -> None:
    server.answer = lambda body, n: chat(good(body, n)[2].decode(), {"prompt_tokens": 1, "completion_tokens": 1})  # fmt: skip
    with pytest.raises(NoAnswerError) as error:  # the content is no sentence; it cost all the same
        ServerWriter(settings(server)).write(items[0].read(), Wish())
    assert error.value.used.asked > 100 and error.value.used.answered > 10
