"""Find: frozen encoders, the interface between them, and what users ask of it."""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Literal, overload

import numpy as np
import torch
from torch import Tensor

from find_core.embedding_space import space_of
from find_core.encoders.base import LanguageEncoder, TextTokens, VisionEncoder
from find_core.encoders.on_demand import LanguageOnDemand
from find_core.errors import FindError
from find_core.images import check_image
from find_core.model.attention_table import TokenGroup
from find_core.model.config import FindConfig
from find_core.model.find import FindModel
from find_core.model.image_state import ImageState
from find_core.model.sampler import Legend, VisualPrompt
from find_core.places.judge import PlaceJudge
from find_core.places.reading import read_places
from find_core.preprocess import mask_to_input, plan, prepare
from find_core.prompts.compiled import CompiledPrompt, entity_of_tokens, prompt_key, to_unit
from find_core.prompts.framing import framed
from find_core.prompts.prompt import CLASS_SENTENCE, Prompt, Reference, as_prompt
from find_core.recognition.reading import read_looks
from find_core.recognition.recognizer import Recognizer
from find_core.runtime.protocol import ImageRuntime
from find_core.runtime.select import open_runtime
from find_core.runtime.uploads import PinnedUploads
from find_core.scene import Scene
from find_core.support.gpu_memory import Batcher
from find_core.support.lazy import lazy_names
from find_core.support.lru import Lru

__all__ = ["CompiledPrompt", "Find", "Scene", "load"]  # noqa: F822

CACHED_PROMPTS = 64


class Find:
    """The model behind all three doors. May be used from several threads.

    Args:
        model: the trainable interface.
        vision: frozen image encoder.
        language: frozen text encoder, or a function that builds it when first needed: a robot whose
            prompts are compiled ahead never loads the language model.
        device: "auto" (CUDA where there is one), "cpu", "cuda", "cuda:1"...
        dtype: autocast type; "auto" is bfloat16 on CUDA and full precision on CPUs. Given on a CPU it
            serves encoder and pixel decoder only: the interface's small products would lose.
        compile: `torch.compile` encoder and pixel decoder, on GPUs as a CUDA graph; made in the
            background for each input size, while the plain modules answer.
        input_px: shorter side that images are scaled to, instead of the model's own: smaller is
            faster, larger finds smaller things. Time grows with its square.
        runtime: one of `find_core.runtime.protocol.RUNTIMES` (docs/speed.md). One that cannot serve
            here is replaced by torch, with a log line.
        places: decides between candidates in sentences of several entities.
        recognizer: scores proposals by what the frozen encoder sees, beside the interface.
    """

    def __init__(
        self,
        model: FindModel,
        vision: VisionEncoder,
        language: LanguageEncoder | Callable[[], LanguageEncoder],
        device: str | torch.device = "auto",
        dtype: torch.dtype | Literal["auto"] | None = "auto",
        compile: bool = False,
        input_px: int | None = None,
        runtime: str = "auto",
        places: PlaceJudge | None = None,
        recognizer: Recognizer | None = None,
    ) -> None:
        self.config: FindConfig = model.config.at_input_px(input_px)
        self.device = pick_device(device)
        self.model = model.to(self.device).eval().requires_grad_(False)
        self.vision: Any = vision
        frozen: Any = vision
        if isinstance(frozen, torch.nn.Module):
            frozen.to(self.device)
            if self.device.type == "cuda":
                torch.nn.Module.to(frozen, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._language = LanguageOnDemand(language, self.device)
        self.places = None if places is None else places.to(self.device)
        self.recognizer = None if recognizer is None else recognizer.to(self.device)
        on_cuda = self.device.type == "cuda"
        self._dtype = (torch.bfloat16 if on_cuda else None) if dtype == "auto" else dtype
        self._lock = threading.RLock()
        self._fingerprint: str | None = None
        self.upload: Callable[[list[Tensor]], Tensor] = (
            PinnedUploads(self.device) if on_cuda else torch.stack
        )
        self.runtime: ImageRuntime = open_runtime(
            runtime, vision, self.model, plain=self._dtype is None, compile=compile
        )
        self._begin()

    def _begin(self) -> None:
        """What belongs to one input size: what was read at it, and how much the GPU holds at once."""
        self._compiled: Lru[str, CompiledPrompt] = Lru(CACHED_PROMPTS)
        self._class_rows: Lru[str, Tensor] = Lru(16 * CACHED_PROMPTS)
        self.in_batches, self._images_in_batches = Batcher("prompts"), Batcher("images")

    def at_input_px(self, input_px: int | None) -> Find:
        """The same model at another input size (`input_px` of this class); weights are shared.

        It is there at once and serves beside this one. Prompts that one of them compiled serve both.

        Raises:
            FindError: smaller than one cell of the coarsest feature map.
        """
        other = copy.copy(self)
        other.config = self.model.config.at_input_px(input_px)
        other._begin()
        return other

    @property
    def name(self) -> str:
        return self.config.name

    @property
    def runtime_name(self) -> str:
        """What computes the image path, one of `RUNTIMES` but "auto"."""
        return self.runtime.name

    @property
    def embedding_dim(self) -> int:
        """D, the length of semantic embeddings."""
        return self.config.hidden_dim

    @property
    def pixel_dim(self) -> int:
        """P, the length of pixel embeddings."""
        return self.config.mask_dim

    @property
    def fingerprint(self) -> str:
        """Identity of the embedding space: vectors compare only within one.

        Of the interface's configuration and weights and of the vision encoder's; the same at every
        input size. Compare with `find_core.embedding_space.same_space`, which knows older forms too.
        """
        with self._lock:
            if self._fingerprint is None:
                self._fingerprint = space_of(self.model, self.vision)
            return self._fingerprint

    @property
    def language(self) -> LanguageEncoder:
        """The text encoder, built on first use."""
        return self._language.get()

    def prepare(self, wait: bool = False) -> None:
        """Build the text encoder now, in a thread (and `wait` for it): no prompt is slower than others."""
        self._language.prepare(wait)

    @overload
    def encode(self, image: np.ndarray) -> Scene: ...
    @overload
    def encode(self, image: Sequence[np.ndarray]) -> list[Scene]: ...

    def encode(self, image: np.ndarray | Sequence[np.ndarray]) -> Scene | list[Scene]:
        """Encode (H, W, 3) uint8 RGB once, to be prompted many times; a list gives a list.

        On GPUs images of one input size share a batch. Others do not, because padding an image
        further would change its answer.

        Raises:
            ImageError: not (H, W, 3) uint8, or a side of zero pixels.
        """
        if isinstance(image, list | tuple):
            return self._encode_many([check_image(i, f"Image {n}") for n, i in enumerate(image)])
        return self._encode_many([check_image(image)])[0]

    def compile(self, prompt: Prompt | str) -> CompiledPrompt:
        """Do everything for `prompt` that does not need the target image; the result is cached.

        Raises:
            PromptError: the prompt is malformed, or longer than the text encoder reads.
        """
        prompt = as_prompt(prompt)
        key = prompt_key(prompt)
        compiled = self._compiled.get(key)
        if compiled is None:
            compiled = self._compile(prompt)
            self._compiled.put(key, compiled)
        return compiled

    def embed(self, prompt: Prompt | str) -> np.ndarray:
        """(D,) float32 unit vector of a prompt, comparable with `Scene.embedding`."""
        return self.compile(prompt).embedding

    def embed_caption(self, text: str) -> np.ndarray:
        """(D,) float32 unit vector of a plain caption by the caption query (image-text retrieval)."""
        return to_unit(self._sentence_row(text, TokenGroup.CAPTION))

    def classes(self, classes: Sequence[str | Prompt]) -> Tensor:
        """Class bank rows (C, D), raw: names, descriptions (text Prompts) or visual examples.

        A name is read as "Describe the concept of {name}."; a `Prompt` of words is read as it is; a
        prompt of one reference stands for the best-fitting object of the reference image.
        """
        return torch.stack([self._class_row(c) for c in classes])

    @torch.inference_mode()
    def _encode_many(self, images: list[np.ndarray]) -> list[Scene]:
        plans = [plan(i.shape[0], i.shape[1], self.config.vision) for i in images]
        scenes: list[Scene | None] = [None] * len(images)
        for members in self._batches([p.padded for p in plans]):
            inputs = [prepare(images[i], plans[i], self.config.vision) for i in members]
            states = self._images_in_batches(inputs, self._states)
            for i, state in zip(members, states, strict=True):
                scenes[i] = Scene(self, state, plans[i])
        return [scene for scene in scenes if scene is not None]

    def _batches(self, sizes: list[tuple[int, int]]) -> list[list[int]]:
        """Which images go together: on CPUs none, where a batch only falls out of the caches."""
        if self.device.type == "cpu":
            return [[i] for i in range(len(sizes))]
        return [[i for i, s in enumerate(sizes) if s == size] for size in dict.fromkeys(sizes)]

    def _states(self, inputs: Sequence[Tensor]) -> list[ImageState]:
        """Of images of one input size, (3, H, W) each."""
        batch = self.upload(list(inputs))
        if self.device.type == "cuda":
            batch = batch.to(memory_format=torch.channels_last)
        with self.autocast(encoding=True):
            state = self.runtime(batch)
        return [state] if len(inputs) == 1 else [state[row] for row in range(len(inputs))]

    @torch.inference_mode()
    def legend(self, prompt: Prompt) -> Legend:
        """The prompt as the sampler takes it: projected tokens, and regions of encoded references."""
        text, spans = prompt.sentence()
        tokens = self.language.encode([text])[0]
        prompts = [
            self._visual_prompt(e.reference, i)
            for i, e in enumerate(prompt.entities)
            if e.reference is not None
        ]
        return Legend(
            self._project(tokens),
            entity_of_tokens(tokens, spans).to(self.device),
            torch.tensor([e.is_visual for e in prompt.entities]),
            prompts,
        )

    @torch.inference_mode()
    def _compile(self, prompt: Prompt) -> CompiledPrompt:
        with self.autocast():
            legend = self.legend(prompt)
            groups = self.model.sampler.interleave([legend], self.generator())
            outputs, states = self.model.record(groups, [TokenGroup.LEGEND_TOKENS])
        rows = outputs.float().embeddings
        semantic = self.model.heads.semantic(rows[TokenGroup.INTERLEAVE])[0]
        pixel = self.model.heads.pixel(rows[TokenGroup.INTERLEAVE])[0]
        whole = self.model.heads.semantic(rows[TokenGroup.LEGEND])[0, 0]
        return CompiledPrompt(
            prompt=prompt,
            entity_is_visual=legend.is_visual.numpy(),
            fingerprint=self.fingerprint,
            whole=whole,
            semantic=semantic,
            pixel=pixel,
            legend=states[TokenGroup.LEGEND_TOKENS],
            places=read_places(self.places, self.language, prompt),
            looks=read_looks(self.recognizer, prompt, legend),
        )

    def _visual_prompt(self, reference: Reference, index: int) -> VisualPrompt:
        image, shown = self._framed(reference)
        scene = self.encode(image)
        mask = mask_to_input(shown, scene.geometry).to(self.device)
        return VisualPrompt(scene.state, 0, mask, index)

    def _framed(self, reference: Reference) -> tuple[np.ndarray, np.ndarray]:
        """The reference's image and region as the encoder sees them best."""
        vision = self.config.vision
        return framed(reference.image, reference.mask, vision.short_side_px, vision.max_side_px)

    def _project(self, tokens: TextTokens) -> Tensor:
        return self.model.lang_proj(tokens.states.to(self.device))

    def project(self, texts: Sequence[str]) -> list[Tensor]:
        """(T, H) projected token states of each text."""
        return [self._project(tokens) for tokens in self.language.encode(list(texts))]

    @torch.inference_mode()
    def _sentence_row(self, text: str, query: TokenGroup) -> Tensor:
        with self.autocast():
            groups = self.model.sampler.sentence(self.project([text]), query)
            outputs = self.model(None, groups)[-1].float()
        return self.model.heads.semantic(outputs.embeddings[query])[0, 0]

    def _class_row(self, item: str | Prompt) -> Tensor:
        key = f"name:{item}" if isinstance(item, str) else prompt_key(item)
        row = self._class_rows.get(key)
        if row is None:
            row = self._new_class_row(item)
            self._class_rows.put(key, row)
        return row

    def _new_class_row(self, item: str | Prompt) -> Tensor:
        if isinstance(item, str):
            return self._sentence_row(CLASS_SENTENCE.format(item), TokenGroup.CLASS)
        if (reference := item.entities[0].reference) is not None:
            image, shown = self._framed(reference)
            return self.encode(image).object_row_at(shown)
        return self._sentence_row(item.text, TokenGroup.CLASS)

    def autocast(self, encoding: bool = False) -> AbstractContextManager:
        """Mixed precision for the image encoder (`encoding`) or the interface."""
        if self._dtype is None or (self.device.type == "cpu" and not encoding):
            return nullcontext()
        return torch.autocast(self.device.type, self._dtype)

    @staticmethod
    def generator() -> torch.Generator:
        """Fresh and seeded: the same prompt always samples the same points."""
        return torch.Generator().manual_seed(0)


def pick_device(device: str | torch.device) -> torch.device:
    """ "auto" is CUDA where there is one.

    Raises:
        FindError: the device does not exist here.
    """
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        chosen = torch.device(device)
    except (RuntimeError, TypeError):
        raise FindError(f"Unknown device {device!r}: use 'auto', 'cpu' or 'cuda'.") from None
    if chosen.type == "cuda" and not torch.cuda.is_available():
        raise FindError(
            f"Device {device!r} is not available: this torch ({torch.__version__}) sees no GPU; "
            "use device='cpu', or install a CUDA build of torch."
        )
    return chosen


__getattr__ = lazy_names(__name__, {"load": "find_core.loading"})
