"""Sealed entries: what was changed, removed, put in or reordered is found, and nothing else is."""

import asyncio
import os
from datetime import datetime, timedelta
from uuid import uuid4

import pytest
from bson.objectid import ObjectId

from permission_mongo.config.model import MongoDB
from permission_mongo.seals import seal_id
from permission_mongo.storage.connection import new_client
from permission_mongo.storage.sealing import NAME, Forked, Sealer
from permission_mongo.storage.verifying import Pin, heads, verify

pytestmark = pytest.mark.mongo
LATEST = timedelta(seconds=130)
OLD = timedelta(days=3)


@pytest.fixture
async def database(mongo_uri):
    async with new_client(mongo_uri, MongoDB(min_pool_size=0)) as client:
        name = f"test_{uuid4().hex[:12]}"
        for one in ("_pm_audit", "_pm_audit_seals", "_pm_settings"):
            await client[name].create_collection(one)
        await client[name]["_pm_audit_seals"].create_index("last")
        now = datetime.utcnow()  # noqa: DTZ003
        begun = {"since": now - timedelta(hours=1), "swept": now, "until": now - timedelta(seconds=1)}
        await client[name]["_pm_settings"].insert_one({"_id": NAME, **begun})
        yield client[name]
        await client.drop_database(name)


def a_sealer(database, holder="one", ttl=None, seen=None) -> Sealer:
    return Sealer(database, holder, LATEST, ttl, (lambda _: None) if seen is None else seen.append)


def an_id(age: timedelta = timedelta()) -> ObjectId:
    """Of an entry made so long ago."""
    return ObjectId(ObjectId.from_datetime(datetime.utcnow() - age).binary[:4] + os.urandom(8))  # noqa: DTZ003


async def add(database, count=1, tenant="acme", age=timedelta(), **more):
    rows = [{"_id": an_id(age), "at": datetime(2026, 1, 1), "tenant_id": tenant, "n": n, **more} for n in range(count)]
    await database["_pm_audit"].insert_many(rows)
    return sorted(row["_id"] for row in rows)


async def settle(database):
    """As if all this had been an hour ago: what is in no seal now should have been."""
    moved = {"$set": {"swept": {"$add": ["$swept", 3_600_000]}}}
    await database["_pm_settings"].update_one({"_id": NAME}, [moved])


async def let_go(database):
    """As if the lease had run out."""
    await database["_pm_settings"].update_one({"_id": NAME}, {"$set": {"until": datetime(2020, 1, 1)}})


async def a_seal_in(database):
    async with asyncio.timeout(8):
        while not await database["_pm_audit_seals"].count_documents({}):  # noqa: ASYNC110
            await asyncio.sleep(0.05)


async def faults(database, pins=None, ttl=None):
    chains = await verify(database, (ttl, LATEST), pins or {}, None, every=True)
    return [(fault.what, fault.seal, fault.entry) for chain in chains for fault in chain.faults]


async def a_sealed_audit(database, looks=3, each=4):
    sealer = a_sealer(database)
    ids = []
    for _ in range(looks):
        ids.append(await add(database, each))
        await sealer.look(full=True)
    return sealer, ids


async def test_what_nobody_touched_is_fine(database):
    sealer, _ = await a_sealed_audit(database)
    await add(database, 2, tenant="other")
    await add(database, 1, tenant=None)
    await sealer.look()
    chains = await verify(database, (None, LATEST), {}, None, every=True)
    assert [(one.tenant, one.seals, one.entries, one.faults) for one in chains] == [
        (None, 1, 1, []),
        ("acme", 3, 12, []),
        ("other", 1, 2, []),
    ]
    assert await database["_pm_audit_seals"].count_documents({}) == 5


async def test_a_look_at_nothing_new_makes_no_seal(database):
    sealer, _ = await a_sealed_audit(database)
    before = await database["_pm_audit_seals"].count_documents({})
    for full in (True, False, True):
        await sealer.look(full=full)
    assert await database["_pm_audit_seals"].count_documents({}) == before


@pytest.mark.parametrize("change", [{"$set": {"n": 99}}, {"$set": {"more": 1}}, {"$unset": {"n": ""}}])
async def test_one_changed_entry_is_found_and_named(database, change):
    _, ids = await a_sealed_audit(database)
    await database["_pm_audit"].update_one({"_id": ids[1][2]}, change)
    assert await faults(database) == [("changed", 2, str(ids[1][2]))]


async def test_the_order_of_an_entrys_fields_is_part_of_it(database):
    _, ids = await a_sealed_audit(database)
    entry = await database["_pm_audit"].find_one({"_id": ids[0][0]})
    moved = {"_id": entry.pop("_id"), **dict(reversed(entry.items()))}
    await database["_pm_audit"].replace_one({"_id": ids[0][0]}, moved)
    assert await faults(database) == [("changed", 1, str(ids[0][0]))]


async def test_one_removed_entry_is_found_and_named(database):
    _, ids = await a_sealed_audit(database)
    await database["_pm_audit"].delete_one({"_id": ids[2][0]})
    assert await faults(database) == [("removed", 3, str(ids[2][0]))]


async def test_two_entries_in_each_others_place_are_found(database):
    _, ids = await a_sealed_audit(database)
    one, other = ids[0][0], ids[0][1]
    first = await database["_pm_audit"].find_one({"_id": one})
    second = await database["_pm_audit"].find_one({"_id": other})
    await database["_pm_audit"].replace_one({"_id": one}, {**second, "_id": one})
    await database["_pm_audit"].replace_one({"_id": other}, {**first, "_id": other})
    assert await faults(database) == [("changed", 1, str(one)), ("changed", 1, str(other))]


async def test_an_entry_put_in_afterwards_is_found(database):
    await a_sealed_audit(database)
    [put_in] = await add(database)
    await settle(database)
    assert await faults(database) == [("inserted", None, str(put_in))]


async def test_an_entry_with_an_id_that_no_gateway_makes_is_found(database):
    await a_sealed_audit(database)
    await database["_pm_audit"].insert_one({"_id": "x", "tenant_id": "acme"})
    assert [what for what, _, _ in await faults(database)] == ["inserted"]


async def test_an_entry_given_to_another_tenant_is_found_in_its_own_chain(database):
    _, ids = await a_sealed_audit(database)
    await database["_pm_audit"].update_one({"_id": ids[0][0]}, {"$set": {"tenant_id": "other"}})
    assert ("changed", 1, str(ids[0][0])) in await faults(database)


async def stored_seal(database, number):
    return await database["_pm_audit_seals"].find_one({"_id": seal_id("acme", number)})


async def test_a_changed_seal_is_found(database):
    await a_sealed_audit(database)
    seals = database["_pm_audit_seals"]
    seal = await stored_seal(database, 2)
    swapped = seal["ids"][12:24] + seal["ids"][:12] + seal["ids"][24:]
    for change in (
        {"at": datetime(2020, 1, 1)},
        {"ids": swapped},
        {"last": ObjectId()},
        {"gone": datetime(2100, 1, 1)},
    ):
        await seals.update_one({"_id": seal["_id"]}, {"$set": change})
        assert ("changed seal", 2, None) in await faults(database), change
        await seals.replace_one({"_id": seal["_id"]}, seal)
    for change in ({"ids": b"x"}, {"digests": b""}, {"hash": 1}, {"ids": "text"}, {"at": None}):
        await seals.update_one({"_id": seal["_id"]}, {"$set": change})
        assert any(what == "changed seal" for what, _, _ in await faults(database)), change
        await seals.replace_one({"_id": seal["_id"]}, seal)
    assert await faults(database) == []


async def test_a_removed_seal_is_found_in_the_middle_and_at_the_beginning(database):
    await a_sealed_audit(database)
    seals = database["_pm_audit_seals"]
    for number in (2, 1):
        seal = await stored_seal(database, number)
        await seals.delete_one({"_id": seal["_id"]})
        await settle(database)
        assert ("missing seal", number, None) in await faults(database)
        assert len([one for one in await faults(database) if one[0] == "inserted"]) == 4  # its entries are in none
        await seals.insert_one(seal)


async def test_a_seal_made_anew_with_a_right_hash_breaks_the_chain(database):
    _, ids = await a_sealed_audit(database)
    forged = a_sealer(database, "forger")
    later = await stored_seal(database, 3)
    await database["_pm_audit"].delete_one({"_id": ids[1][0]})
    await database["_pm_audit_seals"].delete_many({"_id.n": {"$gte": 2}})
    await database["_pm_settings"].update_one({"_id": NAME}, {"$set": {"until": datetime(2000, 1, 1)}})
    await forged.look(full=True)
    assert await faults(database) == []  # one who rewrites the whole end leaves nothing behind but an older head
    await database["_pm_audit_seals"].insert_one(later)
    assert ("broken chain", 3, None) in await faults(database)


async def test_a_head_that_was_noted_elsewhere_tells_of_an_end_that_was_cut(database):
    _, ids = await a_sealed_audit(database)
    [pin] = [one for one in await heads(database, None, every=True) if one.tenant == "acme"]
    assert await faults(database, {"acme": pin}) == []
    await database["_pm_audit_seals"].delete_one({"_id": seal_id("acme", 3)})
    await database["_pm_audit"].delete_many({"_id": {"$in": ids[2]}})
    assert await faults(database) == []
    assert await faults(database, {"acme": pin}) == [("cut", 3, None)]
    assert await faults(database, {"gone": Pin("gone", 1, "00")}) == [("cut", 1, None)]


async def test_an_entry_that_comes_late_is_sealed_by_the_next_full_look(database):
    """As of a transaction that was committed long after its entry's id was made."""
    sealer, _ = await a_sealed_audit(database)
    late = await add(database, age=timedelta(seconds=100))
    await sealer.look()
    chains = await verify(database, (None, LATEST), {}, "acme", every=False)
    assert chains[0].waiting == 1
    await sealer.look(full=True)
    assert (await stored_seal(database, 4))["ids"] == late[0].binary
    assert await faults(database) == []


async def test_what_waits_for_its_seal_is_named_and_no_fault(database):
    await a_sealed_audit(database)
    await add(database, 2)
    [chain] = await verify(database, (None, LATEST), {}, "acme", every=False)
    assert (chain.waiting, chain.faults) == (2, [])
    assert chain.waiting_since is not None


async def test_what_was_there_before_sealing_began_is_no_fault(database):
    await database["_pm_settings"].delete_one({"_id": NAME})
    await add(database, 3, age=OLD)
    sealer = a_sealer(database)
    await add(database, 1)
    await sealer.look()
    [chain] = await verify(database, (None, LATEST), {}, "acme", every=False)
    assert (chain.entries, chain.earlier, chain.faults) == (1, 3, [])


async def test_after_a_time_without_a_sealer_all_is_sealed(database):
    """However long ago: the last full look is noted where every gateway finds it."""
    sealer, _ = await a_sealed_audit(database)
    await sealer._release()
    back = {"$set": {name: {"$subtract": [f"${name}", 7 * 24 * 3_600_000]} for name in ("swept", "since")}}
    await database["_pm_settings"].update_one({"_id": NAME}, [back])
    await add(database, 5, age=OLD)
    await a_sealer(database, "two").look()
    assert await faults(database) == []
    [chain] = await verify(database, (None, LATEST), {}, "acme", every=False)
    assert (chain.entries, chain.waiting) == (17, 0)


# -- age


async def test_entries_gone_by_their_age_are_no_fault_and_others_are(database):
    sealer = a_sealer(database, ttl=24 * 3600)
    await sealer.look()  # sealing begins
    await database["_pm_settings"].update_one({"_id": NAME}, {"$set": {"swept": datetime(2020, 1, 1)}})
    await sealer._release()
    old, young = await add(database, 3, age=OLD), await add(database, 3)
    await database["_pm_settings"].update_one({"_id": NAME}, {"$set": {"swept": datetime(2020, 1, 1)}})
    sealer = a_sealer(database, "two", ttl=24 * 3600)
    await sealer.look(full=True)
    await database["_pm_audit"].delete_many({"_id": {"$in": old}})
    # The seal itself says that they may be gone: whether the configuration still says so does not matter.
    assert await faults(database) == []
    await database["_pm_audit"].delete_one({"_id": young[1]})
    assert await faults(database, ttl=24 * 3600) == [("removed", 1, str(young[1]))]


async def test_without_an_age_nothing_may_be_gone(database):
    sealer = a_sealer(database)
    await sealer.look()
    await sealer._release()
    await database["_pm_settings"].update_one({"_id": NAME}, {"$set": {"swept": datetime(2020, 1, 1)}})
    [old] = await add(database, age=OLD)
    await a_sealer(database, "two").look()
    await database["_pm_audit"].delete_one({"_id": old})
    assert await faults(database) == [("removed", 1, str(old))]


# -- two sealers


async def test_one_at_a_time_and_another_takes_over_when_it_is_gone(database):
    first, second = a_sealer(database, "one"), a_sealer(database, "two")
    await add(database)
    assert await first.look() == pytest.approx(1.0)
    assert await second.look() > 1.0
    await add(database)
    await second.look()
    assert await database["_pm_audit_seals"].count_documents({}) == 1
    await let_go(database)
    await second.look()
    assert await database["_pm_audit_seals"].count_documents({}) == 2
    assert await first.look() > 1.0
    assert await faults(database) == []


async def test_two_that_take_themselves_for_the_sealer_never_fork_a_chain(database):
    """One was held up behind its lease, and knows nothing of the other."""
    first, second = a_sealer(database, "one"), a_sealer(database, "two")
    await add(database)
    await first.look(full=True)
    await let_go(database)
    new = await add(database, 3)
    await second.look(full=True)
    with pytest.raises(Forked):
        await first._seal(first._known, [one.binary for one in new])
    assert await faults(database) == []
    assert await database["_pm_audit_seals"].count_documents({}) == 2


async def test_many_at_once_leave_one_chain(database):
    sealers = [a_sealer(database, f"s{n}") for n in range(4)]

    async def write():
        for _ in range(20):
            await add(database, 5)

    async def seal(sealer):
        for _ in range(10):
            try:
                await sealer.look(full=True)
            except Forked:
                sealer._known = None
            await let_go(database)

    await asyncio.gather(write(), *map(seal, sealers))
    await sealers[0].look(full=True)
    await sealers[1].look(full=True)
    await settle(database)
    assert await faults(database) == []
    [chain] = await verify(database, (None, LATEST), {}, "acme", every=False)
    assert (chain.entries, chain.waiting) == (100, 0)


async def test_what_another_seals_in_the_middle_of_a_look_is_sealed_once(database, monkeypatch):
    one, other = a_sealer(database, "one"), a_sealer(database, "other")
    meet = one._meet

    async def too_late(known, tenant):  # what was to be seen is read, and the lease has run out meanwhile
        await add(database, 2)
        await let_go(database)
        await other.look(full=True)
        await meet(known, tenant)

    monkeypatch.setattr(one, "_meet", too_late)
    await add(database, 3)
    for _ in range(2):
        await one.look(full=True)
        await let_go(database)
    await settle(database)
    assert await faults(database) == []
    assert await database["_pm_audit_seals"].count_documents({}) == 1


async def test_where_nothing_is_new_nothing_is_written_until_the_lease_has_to_be_prolonged(database):
    sealer = a_sealer(database)
    await add(database)
    for _ in range(2):  # the second one finds nothing
        await sealer.look()

    async def until():
        return (await database["_pm_settings"].find_one({"_id": NAME}))["until"]

    taken = await until()
    assert await sealer.look() == pytest.approx(1.0)
    assert await until() == taken
    sealer._known.prolonged -= 5
    await sealer.look()
    assert await until() > taken
    await sealer.look()
    await add(database, 2)
    await sealer.look()
    await settle(database)
    assert await faults(database) == []
    [chain] = await verify(database, (None, LATEST), {}, "acme", every=False)
    assert (chain.seals, chain.entries, chain.waiting) == (2, 3, 0)


async def test_entries_that_come_to_be_seen_late_are_sealed_by_who_found_nothing_for_long(database):
    sealer = a_sealer(database)
    await sealer.look()
    await add(database, 3, age=timedelta(minutes=1))
    for _ in range(15):
        await sealer.look()
    [chain] = await verify(database, (None, LATEST), {}, "acme", every=False)
    assert (chain.entries, chain.waiting) == (3, 0)


async def test_it_lets_go_of_the_lease_when_it_ends(database):
    sealer = a_sealer(database)
    await add(database)
    async with sealer.at_work():
        await a_seal_in(database)
    assert await a_sealer(database, "two").look() == pytest.approx(1.0)


async def test_an_error_ends_no_sealer_and_is_counted(database):
    """As where another gateway's index or a server that is away is met: the next look makes up for it."""
    seen: list = []
    sealer = a_sealer(database, seen=seen)
    good, sealer._seals = sealer._seals, None
    await add(database)
    async with sealer.at_work():
        async with asyncio.timeout(8):
            while not seen:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        sealer._seals = good
        await a_seal_in(database)
    assert type(seen[0]).__name__ == "SealingFailed"
    assert await faults(database) == []


async def test_many_entries_of_one_look_are_cut_into_seals_of_a_size(database, monkeypatch):
    monkeypatch.setattr("permission_mongo.storage.sealing.MOST_IN_ONE", 7)
    ids = await add(database, 20)
    await a_sealer(database).look()
    [chain] = await verify(database, (None, LATEST), {}, "acme", every=False)
    assert (chain.seals, chain.entries, chain.faults) == (3, 20, [])
    assert ids


async def test_long_entries_are_sealed_in_the_chains_of_their_tenants_beside_short_ones(database):
    ids = [str(ObjectId()) for _ in range(200)]
    for tenant in ("acme", "other", None):
        await add(database, 2, tenant=tenant)
        await add(database, 2, tenant=tenant, ids=ids)
    await a_sealer(database).look()
    chains = await verify(database, (None, LATEST), {}, None, every=True)
    assert [(one.tenant, one.entries, one.faults) for one in chains] == [
        (None, 4, []),
        ("acme", 4, []),
        ("other", 4, []),
    ]


async def test_who_was_held_up_before_it_met_a_tenant_seals_nothing_twice(database):
    """It has the lease, and looks; meanwhile another one takes it and seals; then it goes on."""
    first, second = a_sealer(database, "one"), a_sealer(database, "two")
    await second._held()
    await let_go(database)
    new = await add(database, 3)
    await first.look(full=True)
    await second._seal(second._known, [one.binary for one in new])
    assert await faults(database) == []
    assert await database["_pm_audit_seals"].count_documents({}) == 1


@pytest.mark.parametrize("forged", ["now", "swept", "since", "gone"])
async def test_a_forged_record_of_the_sealer_hides_nothing(database, forged):
    """It is in no chain: what is taken from it is no more than the clock and the seals say."""
    _, ids = await a_sealed_audit(database)
    await settle(database)
    await database["_pm_audit"].delete_one({"_id": ids[1][2]})
    [put_in] = await add(database, age=timedelta(minutes=50))
    [stranger] = await add(database, tenant="new", age=timedelta(minutes=50))
    expected = await faults(database, ttl=OLD.total_seconds())
    assert {entry for _, _, entry in expected} == {str(ids[1][2]), str(put_in), str(stranger)}
    settings, far = database["_pm_settings"], datetime(2100, 1, 1)
    if forged == "gone":
        await settings.delete_one({"_id": NAME})
    else:
        value = datetime(2000, 1, 1) if forged == "swept" else far
        await settings.update_one({"_id": NAME}, {"$set": {forged: value}})
    assert await faults(database, ttl=OLD.total_seconds()) == expected


async def test_a_forged_seal_that_no_gateway_can_make_is_told_and_ends_no_look(database):
    await a_sealed_audit(database)
    stored = await database["_pm_audit_seals"].find_one({"_id": seal_id("acme", 3)})
    for n, change in enumerate(({"since": "x"}, {"gone": 5}, {"at": None}, {"_id": seal_id("acme", "x")})):
        forged = {**stored, "_id": seal_id("acme", 9 + n), **change}
        await database["_pm_audit_seals"].insert_one(forged)
    found = await faults(database)
    assert [what for what, _, _ in found].count("changed seal") == 4


async def test_an_entry_put_in_under_an_id_of_before_sealing_began_is_found_by_its_moment(database):
    await add(database, 2, age=OLD)
    await a_sealed_audit(database)
    [put_in] = await add(database, age=OLD)
    later = datetime.utcnow() + LATEST  # noqa: DTZ003
    await database["_pm_audit"].update_one({"_id": put_in}, {"$set": {"at": later}})
    assert await faults(database) == [("inserted", None, str(put_in))]
