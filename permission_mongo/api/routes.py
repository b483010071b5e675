"""The table of routes: method, path, endpoint."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Final

from starlette.convertors import StringConvertor, register_url_convertor
from starlette.responses import Response

from permission_mongo.api import blobs, console, endpoints
from permission_mongo.api.calls import Call
from permission_mongo.schema.model import RESERVED_IDS

Endpoint = Callable[[Call], Awaitable[Response]]


class _DocumentConvertor(StringConvertor):
    """A segment that can be a document's id: none of the words that routes are made of."""

    regex = f"(?!(?:{'|'.join(map(re.escape, sorted(RESERVED_IDS)))})(?:/|$))[^/]+"


class _CollectionConvertor(StringConvertor):
    """A segment that can be a collection's name: none with which a route of the service begins.

    Else another method of such a route would be asked of a collection of that name, and told 404 instead of 405.
    """

    regex = "(?!(?:health|ready|metrics|api|_pm)(?:/|$))[^/]+"


register_url_convertor("document", _DocumentConvertor())
register_url_convertor("collection", _CollectionConvertor())

# The routes asked most stand first, behind one that would be taken for a document's. An id can't be a word of the other
# routes, nor a collection one of the service's.
ROUTES: Final[tuple[tuple[str, str, Endpoint], ...]] = (
    ("GET", "/_pm/jobs", endpoints.list_jobs),
    ("GET", "/_pm/me", endpoints.tell_me),
    ("GET", "/_pm/openapi.json", endpoints.describe),
    ("GET", "/_pm/policy", endpoints.tell_policy),
    ("PUT", "/_pm/policy", endpoints.write_policy),
    ("GET", "/_pm/policy/matrix", endpoints.tell_matrix),
    ("POST", "/_pm/policy/check", endpoints.check_policy),
    ("POST", "/_pm/policy/test", endpoints.run_policy_tests),
    ("POST", "/_pm/policy/diff", endpoints.compare_policy),
    ("POST", "/_pm/explain", endpoints.explain),
    ("GET", "/_pm/audit", endpoints.list_audit),
    ("GET", "/{collection}/{id}", endpoints.get_one),
    ("GET", "/health", endpoints.health),
    ("GET", "/ready", endpoints.ready),
    ("GET", "/{collection}", endpoints.list_many),
    ("POST", "/{collection}", endpoints.create_one),
    ("POST", "/{collection}/batch", endpoints.create_many),
    ("PUT", "/{collection}/batch", endpoints.update_many),
    ("DELETE", "/{collection}/batch", endpoints.delete_many),
    ("PUT", "/{collection}/{id}", endpoints.put_one),
    ("PATCH", "/{collection}/{id}", endpoints.patch_one),
    ("DELETE", "/{collection}/{id}", endpoints.delete_one),
    ("POST", "/{collection}/batch/get", endpoints.get_many),
    ("POST", "/{collection}/batch/delete", endpoints.delete_many),
    ("POST", "/{collection}/batch/{batch}/undo", endpoints.undo),
    ("POST", "/{collection}/aggregate", endpoints.aggregate),
    ("GET", "/{collection}/deleted", endpoints.list_deleted),
    ("POST", "/{collection}/{id}/purge", endpoints.purge_one),
    ("GET", "/{collection}/{id}/versions", endpoints.list_versions),
    ("GET", "/{collection}/{id}/versions/{version}", endpoints.get_version),
    ("GET", "/{collection}/{id}/diff/{from}/{to}", endpoints.compare),
    ("POST", "/{collection}/{id}/restore/{version}", endpoints.restore_one),
    ("PUT", "/{collection}/{id}/blobs/{field}", blobs.put_blob),
    ("GET", "/{collection}/{id}/blobs/{field}", blobs.get_blob),
    ("DELETE", "/{collection}/{id}/blobs/{field}", blobs.drop_blob),
    ("GET", "/_pm/blobs/{token}", blobs.get_presigned),
    ("POST", "/{collection}/query", endpoints.query),
    ("POST", "/{collection}/count", endpoints.count),
    ("GET", "/_pm/jobs/{job}", endpoints.get_job),
    ("POST", "/_pm/jobs/{job}/cancel", endpoints.cancel_job),
    ("POST", "/_pm/hierarchy/sync", endpoints.sync_hierarchy),
    ("POST", "/api/hierarchy/sync", endpoints.sync_hierarchy),
)
METRICS: Final = ("GET", "/metrics", endpoints.show_metrics)
CONSOLE: Final[tuple[tuple[str, str, Endpoint], ...]] = (
    ("GET", "/_pm/console", console.show_page),
    ("GET", "/_pm/console/{file}", console.show_file),
)
