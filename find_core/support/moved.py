"""Module names of before the packages were divided into rooms; they import as they did.

Nothing inside the project uses them. They are kept for one release: programs, and the `config.yml`
of nerfstudio runs, name modules by their dotted path. `python -m OLD_NAME` works as well.
"""

from __future__ import annotations

import functools
import operator
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module, util
from importlib.abc import InspectLoader, Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import CodeType, ModuleType
from typing import Any, TypeVar

AnyClass = TypeVar("AnyClass")


class _Alias(InspectLoader):
    """Gives the module of the new name under the old one: one module, two names."""

    def __init__(self, new_name: str) -> None:
        self.new_name = new_name
        self._spec: ModuleSpec | None = None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        module = import_module(self.new_name)
        self._spec = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__ = self._spec  # the import system has just put the old name's there

    def get_code(self, fullname: str) -> CodeType | None:
        """Of the new module: what `python -m OLD_NAME` runs."""
        spec = util.find_spec(self.new_name)
        loader = spec.loader if spec else None
        return loader.get_code(self.new_name) if isinstance(loader, InspectLoader) else None

    def get_source(self, fullname: str) -> str | None:
        spec = util.find_spec(self.new_name)
        loader = spec.loader if spec else None
        return loader.get_source(self.new_name) if isinstance(loader, InspectLoader) else None


class _Gathered(Loader):
    """What was one module and is several now: a module with the names of all, the first one's first."""

    def __init__(self, new_names: Sequence[str]) -> None:
        self.new_names = new_names

    def exec_module(self, module: ModuleType) -> None:
        for new_name in reversed(self.new_names):
            new = vars(import_module(new_name))
            vars(module).update({k: v for k, v in new.items() if not k.startswith("__")})


def old_module(fullname: str, now: str | Sequence[str]) -> ModuleSpec:
    """How to import an old name; `now`: its module's present name, or those it was divided into."""
    if not isinstance(now, str):
        return ModuleSpec(fullname, _Gathered(now))
    new = util.find_spec(now)
    is_package = new is not None and new.submodule_search_locations is not None
    origin = None if new is None else new.origin  # what `python -m` puts into sys.argv
    return ModuleSpec(fullname, _Alias(now), origin=origin, is_package=is_package)


class _Finder(MetaPathFinder):
    def __init__(self, names: Mapping[str, str | Sequence[str]]) -> None:
        self.names = names

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        now = self.names.get(fullname)
        return None if now is None else old_module(fullname, now)


def keep_old_names(names: Mapping[str, str | Sequence[str]]) -> None:
    """Let `import OLD` give the module NEW, for every `{OLD: NEW}` of `names` (see `old_module`)."""
    # Before the finder of files: through an old package it would load a module a second time.
    sys.meta_path.insert(0, _Finder(names))


def keep_old_arguments(**names: str) -> Callable[[type[AnyClass]], type[AnyClass]]:
    """Class decorator: `Config(old=1)` and `config.old` go on meaning `new`, for every `old="new"`."""

    def decorate(cls: type[AnyClass]) -> type[AnyClass]:
        plain = cls.__init__

        @functools.wraps(plain)
        def init(self: AnyClass, *args: Any, **given: Any) -> None:
            plain(self, *args, **{names.get(name, name): value for name, value in given.items()})

        cls.__init__ = init  # type: ignore[method-assign, assignment]
        for old, new in names.items():
            setattr(cls, old, property(operator.attrgetter(new)))
        return cls

    return decorate


# These came to stand in support/ after the division.
_SUPPORT = ("command_line", "files", "formats", "image_header", "lazy", "lru", "moved", "printable",
            "strict_json")  # fmt: skip
OLD_NAMES = {
    **{f"find_core.{name}": f"find_core.support.{name}" for name in _SUPPORT},
    "find_core.album": "find_core.tasks.album",
    "find_core.checkpoint_adapter": "find_core.checkpoint.key_mapping",
    "find_core.checkpoint_published": "find_core.checkpoint.published",
    "find_core.cli_localize": "find_core.cli.localize",
    "find_core.cli_segment": "find_core.cli.segment",
    "find_core.cli_album": "find_core.cli.album",
    "find_core.cli_model": "find_core.cli.model",
    "find_core.compiled": "find_core.prompts.compiled",
    "find_core.encoders.cache": "find_core.encoders.token_cache",
    "find_core.encoders.causal_lm": "find_core.encoders.language.causal_lm",
    "find_core.encoders.hf_text": "find_core.encoders.language.text_model",
    "find_core.encoders.hf_language": "find_core.encoders.language.huggingface",
    "find_core.encoders.minilm": "find_core.encoders.language.minilm",
    "find_core.encoders.unicl": "find_core.encoders.language.unicl",
    "find_core.encoders.davit": "find_core.encoders.vision.davit",
    "find_core.encoders.efficientnet": "find_core.encoders.vision.efficientnet",
    "find_core.encoders.focalnet": "find_core.encoders.vision.focalnet",
    "find_core.encoders.hf_vision": "find_core.encoders.vision.huggingface",
    "find_core.encoders.layers": "find_core.encoders.vision.layers",
    "find_core.instances": "find_core.masks",
    "find_core.mask_components": "find_core.masks",
    "find_core.interactive": "find_core.tasks.interact",
    "find_core.segmentation": "find_core.tasks.segment",
    "find_core.retrieval": "find_core.tasks.retrieve",
    "find_core.postprocess": "find_core.tasks.postprocess",
    "find_core.regions": "find_core.prompts.region",
    "find_core.timeline": "find_core.video.timeline",
    "find_core.tracking": "find_core.video.tracking",
    "find_core.video_bag": "find_core.video.sources.rosbag",
    "find_core.video_offline": "find_core.video.offline",
    "find_core.video_records": "find_core.video.records",
    "find_core.video_search": "find_core.video.search",
    "find_core.video_shots": "find_core.video.shots",
    "find_core.video_sources": "find_core.video.sources",
    "find_core.video_writer": "find_core.video.writer",
    "find_core.model.tasks": "find_core.model.attention_table",
}
