"""Album search: which images hold what a prompt speaks of (the paper's figure 1; docs/spec.md 5).

score = cos(prompt, image) + entity_weight * mean over entities of their best object's cosine, as in
`find_core.tasks.retrieve`. An image is encoded once; what stays are the vector of the whole and those of
its objects, in a Qdrant collection. The collection lives in this process, where `save` keeps it in
one file, or on a Qdrant server or cluster, by the same calls: the entity term is Qdrant's own
multi-vector MaxSim.

Letters: N images, E entities, Q objects, D semantic width.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from find_core.embedding_space import same_space
from find_core.errors import AlbumError
from find_core.prompts.compiled import CompiledPrompt
from find_core.prompts.prompt import Prompt
from find_core.protocols import Engine
from find_core.support.files import read_tensors, write_tensors
from find_core.support.formats import Array, check_arrays
from find_core.support.json_text import json_text
from find_core.tasks.retrieve import ENTITY_WEIGHT, RetrievalQuery

if TYPE_CHECKING:
    from qdrant_client import QdrantClient


FORMAT, VERSION = "find_core.tasks.album", "1"
IMAGE, OBJECTS = "image", "objects"
# N pictures, Q objects of each, D width; unit rows in half precision, zeros where there is none.
LAYOUT = {
    IMAGE: Array("N D", "float32", -1.01, 1.01),
    OBJECTS: Array("N Q D", "float32", -1.01, 1.01),
}
CANDIDATES = 128
"""How many images each half of the score proposes, at least; their sum then ranks exactly."""
BATCH = 32


@dataclass(frozen=True)
class AlbumHit:
    """An image that answers a prompt.

    Attributes:
        name: as it was added. score: what hits are sorted by, higher is better.
        relevance: in [0, 1], does it show every entity of the prompt (object-level, calibrated).
        entity_cosines: each entity's best object in it, in prompt order.
    """

    name: str
    score: float
    relevance: float
    entity_cosines: tuple[float, ...]

    def to_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "score": round(self.score, 4),
            "relevance": round(self.relevance, 4),
            "entity_cosines": [round(c, 4) for c in self.entity_cosines],
        }


class Album:
    """Images to be searched with interleaved prompts.

    Args:
        find: the model whose vectors the album holds.
        client: a Qdrant client; None keeps the album in this process. collection: its name there.

    Raises:
        AlbumError: qdrant-client is missing, the server does not answer, or the collection holds
            something else or vectors of another model.
    """

    def __init__(
        self, find: Engine, client: QdrantClient | None = None, collection: str = "album"
    ) -> None:
        qdrant = _qdrant()
        self.find, self.collection = find, collection
        with _server_errors():
            self.client = client or qdrant.QdrantClient(":memory:")
            if self.client.collection_exists(collection):
                self._check()
            else:
                self._create()

    @staticmethod
    def connect(
        url: str, find: Engine, collection: str = "album", api_key: str | None = None
    ) -> Album:
        """An album on a Qdrant server or cluster, e.g. "http://localhost:6333"; made if missing."""
        with _server_errors():
            return Album(find, _qdrant().QdrantClient(url=url, api_key=api_key), collection)

    @staticmethod
    def load(path: str | Path, find: Engine) -> Album:
        """The album of a file that `save` wrote.

        Raises:
            AlbumError: missing, damaged, no album, or vectors of another model.
        """
        path = Path(path)
        if not path.is_file():
            raise AlbumError(f"No album at {path}: add images to make it.")
        tensors, metadata = read_tensors(path, AlbumError)
        if metadata.get("format") != FORMAT or metadata.get("version") != VERSION:
            raise AlbumError(f"{path} is no album of this version: make it again.")
        _same_space(metadata.get("fingerprint"), find, str(path))
        names = _names(metadata, path)
        arrays = {name: tensor.float().numpy() for name, tensor in tensors.items()}
        sizes = {"N": len(names), "Q": find.config.num_queries, "D": find.embedding_dim}
        check_arrays(arrays, LAYOUT, str(path), AlbumError, sizes)
        album = Album(find)
        album.insert(names, arrays[IMAGE], arrays[OBJECTS])
        return album

    def save(self, path: str | Path) -> Path:
        """Write the whole album to one file (half precision), atomically."""
        path, records = Path(path), list(self._records())
        size = self._objects_shape
        objects = np.array([r.vector[OBJECTS] for r in records], np.float16).reshape(-1, *size)
        images = np.array([r.vector[IMAGE] for r in records], np.float16).reshape(-1, size[1])
        tensors = {IMAGE: torch.from_numpy(images), OBJECTS: torch.from_numpy(objects)}
        names = json_text([r.payload["name"] for r in records])
        metadata = {"format": FORMAT, "version": VERSION, "names": names}
        metadata["fingerprint"] = self.find.fingerprint
        write_tensors(path, tensors, metadata, AlbumError)
        return path

    def __len__(self) -> int:
        with _server_errors():
            return int(self.client.count(self.collection, exact=True).count)

    def names(self) -> set[str]:
        """What the images are called."""
        return {record.payload["name"] for record in self._records(vectors=False)}

    def add(self, pictures: Iterable[tuple[str, np.ndarray]]) -> int:
        """Encode and keep (name, (H, W, 3) uint8 RGB) images; a name again replaces the old one.

        Images are kept in groups of a few dozen, so an iterator that is slow or breaks off loses
        little. Returns how many there were.

        Raises:
            ImageError: one is no image; those before it are kept.
        """
        total = 0
        names: list[str] = []
        vectors: list[tuple[np.ndarray, np.ndarray]] = []

        def keep() -> None:
            if names:
                images, objects = (np.stack(part) for part in zip(*vectors, strict=True))
                self.insert(names, images, objects)
                names.clear()
                vectors.clear()

        try:
            for name, image in pictures:
                scene = self.find.encode(image)
                names.append(name)
                vectors.append((scene.embedding, scene.object_embeddings))
                total += 1
                if len(names) == BATCH:
                    keep()
        finally:
            keep()
        return total

    def remove(self, names: Collection[str]) -> None:
        """Forget images; names that are not there are ignored."""
        ids: list[Any] = [_id(name) for name in names]
        with _server_errors():
            self.client.delete(self.collection, points_selector=ids)

    def search(
        self,
        prompt: Prompt | str | CompiledPrompt | RetrievalQuery,
        top: int = 12,
        entity_weight: float = ENTITY_WEIGHT,
        exclude: Collection[str] = (),
    ) -> list[AlbumHit]:
        """The best images, best first.

        Each half of the score proposes its `max(CANDIDATES, 4 * top)` best images; the whole score
        ranks these, so that in albums up to that size the order is exact.

        Args:
            entity_weight: of the entities beside the whole (0.5 in the paper's evaluation, 1.0 in
                the published demo; small models do better with more).
            exclude: names left out, such as the images that the prompt's references come from.
        """
        query = prompt
        if not isinstance(query, CompiledPrompt | RetrievalQuery):
            query = self.find.compile(query)
        of_entry = query.embedding
        entities = query.entities if isinstance(query, RetrievalQuery) else query.entity_embeddings
        count = max(CANDIDATES, 4 * top)
        found = {r.id: r for r in self._nearest(OBJECTS, entities.tolist(), count, exclude)}
        found |= {r.id: r for r in self._nearest(IMAGE, of_entry.tolist(), count, exclude)}
        hits = [self._hit(r, of_entry, entities, entity_weight) for r in found.values()]
        return sorted(hits, key=lambda h: (-h.score, h.name))[:top]

    # -- the collection ----------------------------------------------------------------------

    def _create(self) -> None:
        models, size = _qdrant().models, self.find.embedding_dim
        whole = models.VectorParams(size=size, distance=models.Distance.COSINE)
        max_sim = models.MultiVectorConfig(comparator=models.MultiVectorComparator.MAX_SIM)
        objects = models.VectorParams(
            size=size, distance=models.Distance.COSINE, multivector_config=max_sim
        )
        self.client.create_collection(
            self.collection, vectors_config={IMAGE: whole, OBJECTS: objects}
        )

    def _check(self) -> None:
        """Does the collection that is already there hold this model's vectors?"""
        vectors = self.client.get_collection(self.collection).config.params.vectors
        if not isinstance(vectors, dict) or set(vectors) != {IMAGE, OBJECTS}:
            raise AlbumError(
                f"The Qdrant collection {self.collection!r} is no album: choose another name."
            )
        for record in self.client.scroll(self.collection, limit=1)[0]:
            payload = record.payload or {}
            _same_space(payload.get("fingerprint"), self.find, f"The album {self.collection!r}")

    @property
    def _objects_shape(self) -> tuple[int, int]:
        """(Q, D) of one image's object rows."""
        return self.find.config.num_queries, self.find.embedding_dim

    def insert(self, names: Sequence[str], images_ND: np.ndarray, objects_NQD: np.ndarray) -> None:
        """Add images whose vectors are already there (`Scene.embedding`, object rows).

        Args:
            images_ND: (N, D) unit rows. objects_NQD: (N, Q, D) unit rows of the object proposals.

        Raises:
            AlbumError: other sizes than this model's, or the server's refusal.
        """
        size = self._objects_shape
        if images_ND.shape != (len(names), size[1]) or objects_NQD.shape != (len(names), *size):
            raise AlbumError(
                f"Vectors {images_ND.shape} and {objects_NQD.shape} of {len(names)} images do not "
                f"fit this model: ({size[1]},) and {size} an image."
            )
        models = _qdrant().models
        mark = self.find.fingerprint
        points = [
            models.PointStruct(
                id=_id(name),
                vector={IMAGE: image.tolist(), OBJECTS: objects.tolist()},
                payload={"name": name, "fingerprint": mark},
            )
            for name, image, objects in zip(names, images_ND, objects_NQD, strict=True)
        ]
        with _server_errors():
            for start in range(0, len(points), BATCH):
                self.client.upsert(self.collection, points[start : start + BATCH], wait=True)

    def _nearest(self, which: str, query: list, count: int, exclude: Collection[str]) -> list[Any]:
        models = _qdrant().models
        without = models.HasIdCondition(has_id=[_id(name) for name in exclude])
        with _server_errors():
            return self.client.query_points(
                self.collection, query=query, using=which, limit=count, with_vectors=True,
                query_filter=models.Filter(must_not=[without]) if exclude else None,
            ).points  # fmt: skip

    def _hit(
        self, record: Any, of_entry: np.ndarray, entities_ED: np.ndarray, entity_weight: float
    ) -> AlbumHit:
        image = np.asarray(record.vector[IMAGE], np.float32)
        objects_QD = np.asarray(record.vector[OBJECTS], np.float32)
        best = (entities_ED @ objects_QD.T).max(axis=1)
        relevance = self.find.config.relevance(torch.tensor(best.min()))
        score = float(of_entry @ image + entity_weight * best.mean())
        return AlbumHit(
            record.payload["name"], score, float(relevance), tuple(float(b) for b in best)
        )

    def _records(self, vectors: bool = True) -> Iterator[Any]:
        place = None
        while True:
            with _server_errors():
                records, place = self.client.scroll(
                    self.collection, limit=8 * BATCH, offset=place, with_vectors=vectors
                )
            yield from records
            if place is None:
                return


def _id(name: str) -> str:
    """An image's id: the same name is the same image, also one that is not UTF-8."""
    name = name.encode("utf-8", "backslashreplace").decode("utf-8")
    return str(uuid.uuid5(uuid.NAMESPACE_URL, name))


def _names(metadata: dict[str, str], path: Path) -> list[str]:
    """What the pictures of a file are called, each once."""
    try:
        names = json.loads(metadata.get("names", ""))
    except (ValueError, RecursionError):
        names = None
    plain = isinstance(names, list) and all(isinstance(name, str) for name in names)
    if not plain or len(set(names)) != len(names):
        raise AlbumError(f"{path} is damaged (its names cannot be read): make it again.")
    return names


def _same_space(fingerprint: Any, find: Engine, what: str) -> None:
    if not same_space(fingerprint, find.fingerprint):
        raise AlbumError(f"{what} was made with another model than {find.name}: make it again.")


def _qdrant() -> Any:
    try:
        import qdrant_client
    except ImportError:
        raise AlbumError('Albums need qdrant-client: pip install "find_ros[album]".') from None
    return qdrant_client


@contextmanager
def _server_errors() -> Iterator[None]:
    """What goes wrong between client and server, as one sentence."""
    from qdrant_client.http.exceptions import ApiException

    try:
        yield
    except (ApiException, OSError) as problem:
        said = " ".join(str(problem).split())[:200]
        raise AlbumError(
            f"The Qdrant server did not do as asked ({said}): check its URL."
        ) from None
