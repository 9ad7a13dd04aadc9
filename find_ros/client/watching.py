"""A question that stays: its handle."""

from __future__ import annotations

from find_ros.client.asking import WatchQuestion


class Watch:
    """What `Finder.watch` gives; a context manager. `close()` ends it and takes the prompt back."""

    def __init__(self, question: WatchQuestion) -> None:
        self._question = question

    @property
    def prompt_id(self) -> str:
        return self._question.prompt_id

    def close(self) -> None:
        self._question.future.cancel()

    def check(self) -> None:
        """Raises PromptRefusedError or ClientError where the watch has ended by itself."""
        future = self._question.future
        if future.done() and not future.cancelled():
            future.result()

    def __enter__(self) -> Watch:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
