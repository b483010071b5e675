"""What several commands share."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

from permission_mongo.config.load import load_config
from permission_mongo.config.model import Config
from permission_mongo.errors import Misconfigured, StartupFailure
from permission_mongo.principal import DEFAULT_NAMESPACE

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"  # argparse names its own type so


def add_config(command: argparse.ArgumentParser) -> None:
    command.add_argument("--config", type=Path, default=Path("config"), metavar="DIR", help="default: config")


def add_namespace(command: argparse.ArgumentParser) -> None:
    add_config(command)
    command.add_argument("--namespace", default=DEFAULT_NAMESPACE, metavar="NAME", help="default: the default one")


def config_in(options: argparse.Namespace) -> Config:
    """The configuration with the database of the namespace that was chosen as its only one."""
    config = load_config(options.config)
    if options.namespace != DEFAULT_NAMESPACE and options.namespace not in config.namespaces:
        known = ", ".join((DEFAULT_NAMESPACE, *config.namespaces))
        raise StartupFailure(f"unknown namespace '{options.namespace}'; known: {known}")
    chosen = replace(config.mongodb, database=config.database(options.namespace))
    return replace(config, mongodb=chosen, namespaces={})


def loaded(place: Path) -> Config | None:
    """The configuration, its tests not run; None where it has mistakes, which are told on stderr."""
    try:
        return load_config(place)
    except Misconfigured as error:
        for finding in error.findings:
            print(f"{place}: {finding}", file=sys.stderr)
        return None
