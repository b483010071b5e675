"""The files that have a JSON Schema. A further file is a module beside these and a row here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from permission_mongo.config.shapes.of_config import config_shape
from permission_mongo.config.shapes.of_hooks import hooks_shape
from permission_mongo.config.shapes.of_policy import policy_shape
from permission_mongo.config.shapes.of_policy_tests import policy_tests_shape
from permission_mongo.config.shapes.of_schema import schema_shape
from permission_mongo.config.shapes.words import Shape

SHAPES: Final[Mapping[str, Callable[[], Shape]]] = {
    "config": config_shape,
    "schema": schema_shape,
    "policy": policy_shape,
    "hooks": hooks_shape,
    "policy_tests": policy_tests_shape,
}
