"""Services behind one gateway: a key each, a database for each region, and retries that count once."""

from __future__ import annotations

import random
import time
from concurrent.futures import ThreadPoolExecutor

from examples.running import Answer, Caller, Gateway, an_example, say

SEED = 4
INVOICES = {"eu": 700, "us": 300}


def an_invoice(number: int, chance: random.Random) -> dict[str, object]:
    return {
        "_id": f"inv-{number:04}",
        "customer": f"customer-{chance.randrange(200):03}",
        "cents": chance.randrange(10, 5000) * 100,
        "iban": f"AT{chance.randrange(10**17, 10**18)}",
    }


def with_key(gateway: Gateway, service: str, namespaces: str) -> Caller:
    """A key is made by who runs the gateway, and printed once."""
    words = ("keys", "create", "--sub", service, "--roles", service, "--tenant", "acme", "--namespaces", namespaces)
    at = ("--config", str(gateway.config))
    return Caller(service, gateway.address, {"X-API-Key": gateway.command(*words, *at)})


def load(billing: Caller) -> None:
    chance = random.Random(SEED)
    for region, size in INVOICES.items():
        invoices = [an_invoice(number, chance) for number in range(1, size + 1)]
        billing.must("POST", "/invoices/batch", {"documents": invoices, "atomic": True}, {"X-Namespace": region})


def at_once(caller: Caller, times: int, path: str, body: object, headers: dict[str, str]) -> list[Answer]:
    """The same request several times, all on their way together: what retries over a bad network look like."""

    def one(_: int) -> Answer:
        while (answer := caller.ask("PATCH", path, body, headers)).headers.get("retry-after"):
            time.sleep(0.05)  # the first is on its way, and the answer is to ask again
        return answer

    with ThreadPoolExecutor(times) as pool:
        return list(pool.map(one, range(times)))


def tell(gateway: Gateway) -> None:
    with ThreadPoolExecutor() as pool:
        billing, reminders = pool.map(with_key, (gateway, gateway), ("billing", "reminders"), ("eu,us", "eu"))
    load(billing)
    print("Two services with a key each: billing for eu and us, reminders for eu alone.")

    say("The same id in two regions is two documents. A region is a database; the header names it:")
    for region in INVOICES:
        billing.tells("GET", "/invoices/inv-0001?_fields=customer,cents", headers={"X-Namespace": region})

    say("A key is good where it says. A region that is not the caller's and one that there is not are told alike:")
    for region in ("us", "mars"):
        reminders.tells("GET", "/invoices/inv-0001", headers={"X-Namespace": region})
    reminders.tells("GET", "/invoices/inv-0001")

    say("A payment of 50.00 is booked under an Idempotency-Key. The answer is lost: it is sent again, and again:")
    eu = {"X-Namespace": "eu"}
    path, payment, key = "/invoices/inv-0042", {"$inc": {"paid_cents": 5000}}, {"Idempotency-Key": "payment-7781"}
    answers = at_once(billing, 6, path, payment, {**eu, **key})
    replayed = sum("idempotency-replayed" in one.headers for one in answers)
    statuses, booked = {one.status for one in answers}, {one.body["paid_cents"] for one in answers}
    print(f"  {len(answers)} requests: statuses {statuses}, {replayed} replays; all say that {booked} cents are paid")
    billing.tells("GET", f"{path}?_fields=paid_cents", headers=eu)

    say("Another request under that key is a mistake of the caller's, and told:")
    billing.tells("PATCH", path, {"$inc": {"paid_cents": 9900}}, {**eu, **key})

    say("Reminders reads what it needs for a letter, and may do one thing: mark an invoice as reminded:")
    reminders.tells("GET", "/invoices/inv-0007", headers=eu)
    reminders.tells("PATCH", "/invoices/inv-0007", {"state": "reminded"}, eu)
    reminders.tells("PATCH", "/invoices/inv-0007", {"state": "paid"}, eu)
    reminders.tells("PATCH", "/invoices/inv-0007", {"paid_cents": 1}, eu)


if __name__ == "__main__":
    with an_example(__file__) as gateway:
        tell(gateway)
