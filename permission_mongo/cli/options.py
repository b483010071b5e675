"""What several commands share."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TypeAlias

from permission_mongo.config.load import load_config
from permission_mongo.config.model import Config
from permission_mongo.errors import Misconfigured

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"  # argparse names its own type so


def add_config(command: argparse.ArgumentParser) -> None:
    command.add_argument("--config", type=Path, default=Path("config"), metavar="DIR", help="default: config")


def loaded(place: Path) -> Config | None:
    """The configuration, its tests not run; None where it has mistakes, which are told on stderr."""
    try:
        return load_config(place)
    except Misconfigured as error:
        for finding in error.findings:
            print(f"{place}: {finding}", file=sys.stderr)
        return None
