"""What several commands share."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TypeAlias

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"  # argparse names its own type so


def add_config(command: argparse.ArgumentParser) -> None:
    command.add_argument("--config", type=Path, default=Path("config"), metavar="DIR", help="default: config")
