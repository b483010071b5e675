"""Doors: other APIs whose callers are let in, one file each.

A door turns a request into our operations and what is shown into that API's answers. It owns no rule, query or write:
every request goes by `endpoints.answered`, as ours do.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from permission_mongo.api.doors import atlas_data_api, mixpeek, moorcheh
from permission_mongo.api.doors.entrance import Entrance

DOORS: Final[Mapping[str, Entrance]] = {
    "atlas_data_api": atlas_data_api.ENTRANCE,
    "mixpeek": mixpeek.ENTRANCE,
    "moorcheh": moorcheh.ENTRANCE,
}
