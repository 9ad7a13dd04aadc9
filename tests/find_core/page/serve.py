"""Serves a folder of images with the model that finds what it is shown.

python -m tests.find_core.page.serve FOLDER PROMPTS_DIR --port 8600
"""

from __future__ import annotations

import argparse
from pathlib import Path

from find_core.page.server import serve
from find_core.page.stream_source import StreamSource
from find_core.video.sources import open_source
from tests.find_core.page.fakes import SizedFind

if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("folder")
    parser.add_argument("prompts", type=Path)
    parser.add_argument("--port", type=int)
    args = parser.parse_args()
    source = StreamSource(SizedFind(), open_source(args.folder, fps=10), sized=SizedFind)
    serve(source, port=args.port, prompts_dir=args.prompts)
