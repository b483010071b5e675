import pytest

from tests.storage.straights import NAME, straight_to


@pytest.fixture
async def straight(mongo_uri):
    async with straight_to(mongo_uri) as found:
        rows = found._client[NAME].rows
        await rows.drop()
        await rows.insert_many([{"_id": n, "text": "x" * 200 * (n % 5)} for n in range(50)])
        yield found
        await rows.drop()
