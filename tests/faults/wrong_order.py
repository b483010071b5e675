"""The control of F1, a process of its own: delete first, keep the versions second, in no transaction.

    python -m tests.faults.wrong_order URI DATABASE GROUP

Waits for a line, begins; says `between` after the delete and waits for a line again.
"""

from __future__ import annotations

import sys

import pymongo
from bson.raw_bson import DEFAULT_RAW_BSON_OPTIONS

from tests.faults.rows import a_record


def main(uri: str, database: str, group: str) -> None:
    with pymongo.MongoClient(uri) as client:
        notes = client[database].get_collection("notes", codec_options=DEFAULT_RAW_BSON_OPTIONS)
        print("ready", flush=True)
        sys.stdin.readline()
        rows = notes.find({"title": group}).to_list()
        notes.delete_many({"_id": {"$in": [row["_id"] for row in rows]}})
        print("between", flush=True)
        sys.stdin.readline()
        client[database]["_pm_versions"].insert_many([a_record(row, group) for row in rows])
        print("after", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
