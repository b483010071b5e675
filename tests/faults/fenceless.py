"""A gateway that goes on with a job whatever has become of its lease: what the tests must catch."""

from pymongo.asynchronous.client_session import AsyncClientSession

from permission_mongo.cli.main import main
from permission_mongo.jobs import Lease
from permission_mongo.storage.jobs import Jobs


async def _never_overtaken(self: Jobs, session: AsyncClientSession, lease: Lease) -> None:
    return None


if __name__ == "__main__":
    Jobs.require = _never_overtaken
    raise SystemExit(main())
