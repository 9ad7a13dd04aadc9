"""Ask the nodes from Python, in a process that needs no model and no torch.

    from find_ros.client import Finder

    with Finder.standalone() as finder:
        mug = finder.locate("the <mug>", target_frame="base_link")
        print(mug.place.T_frame_object)

`Finder(node)` serves inside a node of yours.
"""

from find_ros.client.errors import (
    ClientError,
    NoFieldServerError,
    NoLocalizerError,
    NotFoundInTimeError,
    NoTransformError,
    PromptRefusedError,
)
from find_ros.client.finder import Finder
from find_ros.client.results import FieldHit, FoundEntity, LocateResult, Place
from find_ros.client.watching import Watch

__all__ = [
    "ClientError",
    "FieldHit",
    "Finder",
    "FoundEntity",
    "LocateResult",
    "NoFieldServerError",
    "NoLocalizerError",
    "NoTransformError",
    "NotFoundInTimeError",
    "Place",
    "PromptRefusedError",
    "Watch",
]
