"""What can come of a question instead of an answer; each says what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from find_core.errors import FindError

if TYPE_CHECKING:
    from find_ros.client.results import LocateResult


class ClientError(FindError):
    """Base of what the client raises on purpose."""


class NoLocalizerError(ClientError, ConnectionError):
    """No localizer of this name is on the network, or it does not reply."""


class NoFieldServerError(ClientError, ConnectionError):
    """No field server of this name is on the network, or it does not reply."""


class PromptRefusedError(ClientError, ValueError):
    """The node cannot take the prompt; the sentence is the node's own."""


class NoTransformError(ClientError):
    """The object was found, but its place cannot be brought into `target_frame`."""


class NotFoundInTimeError(ClientError, TimeoutError):
    """Time is up.

    Attributes:
        answers: how many fresh images were answered.
        best: the answer that came nearest; None when there was none.
    """

    def __init__(self, sentence: str, answers: int = 0, best: LocateResult | None = None) -> None:
        super().__init__(sentence)
        self.answers, self.best = answers, best

    @property
    def best_score(self) -> float:
        """Of the prompt's first entity, in [0, 1]; 0 without an answer."""
        return self.best.score if self.best is not None else 0.0
