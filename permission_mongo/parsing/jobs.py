"""What a job was asked, read again from the body it came in; and the query strings of the jobs' own routes."""

from __future__ import annotations

from typing import assert_never

from permission_mongo.config.model import Config
from permission_mongo.errors import CollectionNotFound, JobNotFound
from permission_mongo.jobs import Asked
from permission_mongo.operations import CancelJob, Filtered, GetJob, ListJobs, UpdateMany
from permission_mongo.parsing.batches import read_delete_many, read_update_many, read_upsert_many
from permission_mongo.parsing.fields import read_body
from permission_mongo.parsing.ids import Fresh, read_batch_id
from permission_mongo.parsing.lists import Parameters
from permission_mongo.parsing.vectors import FIXED, read_update_beside_vectors
from permission_mongo.query.limits import Limits
from permission_mongo.schema.model import Collection

_MOST_JOBS = 100


def read_again(asked: Asked, body: bytes, name: str, config: Config, fresh: Fresh) -> Filtered:
    """By the schema in force. A Refusal where that takes it no longer."""
    collection = config.collections.get(name)
    if collection is None:
        raise CollectionNotFound("no such collection", collection=name)
    match asked:
        case "delete":
            return read_delete_many(body, collection, config.limits, fresh)
        case "update":
            return _update_again(body, collection, config.limits, fresh)
        case _:
            assert_never(asked)


def _update_again(body: bytes, collection: Collection, limits: Limits, fresh: Fresh) -> UpdateMany:
    """A door's requests have keys in them that those of our own routes never have."""
    found = read_body(body)
    if FIXED in found:
        return read_update_beside_vectors(found, collection, limits, fresh)
    return (read_upsert_many if "upsert" in found else read_update_many)(body, collection, limits, fresh)


def read_get_job(job: str, parameters: Parameters) -> GetJob:
    parameters.require_known(())
    return GetJob(_id(job))


def read_cancel_job(job: str, parameters: Parameters) -> CancelJob:
    parameters.require_known(())
    return CancelJob(_id(job))


def read_list_jobs(parameters: Parameters) -> ListJobs:
    """`_limit`."""
    parameters.require_known(("_limit",))
    return ListJobs(parameters.whole_number("_limit", 1, _MOST_JOBS) or _MOST_JOBS)


def _id(text: str) -> str:
    found = read_batch_id(text)
    if found is None:
        raise JobNotFound("no such job")
    return found
