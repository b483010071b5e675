"""What a job was asked, read again by the schema in force; and the jobs' own routes."""

import pytest

from permission_mongo.config.model import Config
from permission_mongo.documents.changes import Merge
from permission_mongo.errors import CollectionNotFound, InvalidRequest, JobNotFound
from permission_mongo.operations import ByFilter, DeleteMany, ListJobs, UpdateMany
from permission_mongo.parsing.ids import Fresh
from permission_mongo.parsing.jobs import read_again, read_cancel_job, read_get_job, read_list_jobs
from permission_mongo.parsing.lists import Parameters
from permission_mongo.parsing.vectors import read_update_beside_vectors
from permission_mongo.query.limits import Limits
from permission_mongo.schema.model import Collection, Field
from permission_mongo.values import write_json
from tests.builders import a_policy

NOTES = Collection("notes", {"title": Field("title", "string")}, id_type="string")
CONFIG = Config({"notes": NOTES}, a_policy())
JOB = "0" * 32


def test_a_delete_and_an_update_are_read_as_they_were_sent():
    found = read_again("delete", b'{"filter": {"title": "x"}}', "notes", CONFIG, Fresh())
    assert isinstance(found, DeleteMany)
    assert isinstance(found.selection, ByFilter)
    found = read_again("update", b'{"filter": {"title": "x"}, "update": {"title": "y"}}', "notes", CONFIG, Fresh())
    assert isinstance(found, UpdateMany)
    assert found.edits.change == Merge({"title": "y"})


def test_what_the_schema_takes_no_longer_is_refused():
    with pytest.raises(CollectionNotFound):
        read_again("delete", b'{"filter": {"title": "x"}}', "gone", CONFIG, Fresh())
    with pytest.raises(InvalidRequest, match="gone"):
        read_again("delete", b'{"filter": {"title": {"$gone": 1}}}', "notes", CONFIG, Fresh())


@pytest.mark.parametrize("read", [read_get_job, read_cancel_job])
def test_an_id_that_is_none_is_told_like_one_of_no_job(read):
    assert read(JOB, Parameters([])).id == JOB
    for wrong in ("x", JOB[1:], JOB + "0", "z" * 32):
        with pytest.raises(JobNotFound, match="no such job"):
            read(wrong, Parameters([]))
    with pytest.raises(InvalidRequest, match="x"):
        read(JOB, Parameters([("x", "1")]))


def test_a_list_of_jobs_has_a_hundred_at_most():
    assert read_list_jobs(Parameters([])) == ListJobs(100)
    assert read_list_jobs(Parameters([("_limit", "3")])) == ListJobs(3)
    for wrong in ("0", "101", "x", "-1"):
        with pytest.raises(InvalidRequest, match="_limit"):
            read_list_jobs(Parameters([("_limit", wrong)]))


def test_an_update_that_changes_no_vectors_is_read_again_as_one():
    """Another gateway goes on with it, or this one by a new configuration: by the same rule as at first."""
    notes = Collection("notes", {"near": Field("near", "vector", dimensions=2)}, "string")
    config, update = Config({"notes": notes}, a_policy()), {"$set": {"near": [1, 2]}}
    first = read_update_beside_vectors({"filter": {}, "all": True, "update": update}, notes, Limits(), Fresh())
    kept = first.edits.selection.sent
    again = read_again("update", kept, "notes", config, Fresh())
    assert [one.collection.fields["near"].immutable for one in (first, again)] == [True, True]
    assert again.edits.selection.sent == kept
    plain = read_again("update", write_json({"filter": {}, "all": True, "update": update}), "notes", config, Fresh())
    assert not plain.collection.fields["near"].immutable
