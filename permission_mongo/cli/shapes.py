"""`permission-mongo schema`: the JSON Schema of a file, for editors."""

from __future__ import annotations

import argparse
import json

from permission_mongo.cli.options import Commands
from permission_mongo.config.shapes.table import SHAPES


def add_schema(commands: Commands) -> None:
    schema = commands.add_parser("schema", help="print the JSON Schema of a configuration file, for editors")
    schema.add_argument("file", nargs="?", choices=tuple(SHAPES), help="default: all of them, by name")
    schema.set_defaults(run=_schema)


def _schema(options: argparse.Namespace) -> int:
    print(written(SHAPES[options.file]() if options.file else {name: shape() for name, shape in SHAPES.items()}))
    return 0


def written(shape: object) -> str:
    return json.dumps(shape, indent=2)
