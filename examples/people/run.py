"""A company of 2,000 people: all see who there is, managers what those below them earn, and a move counts at once."""

from __future__ import annotations

import random
from typing import Any

from examples.running import Caller, Gateway, an_example, say

SEED = 2
SIZE = 2000
SPAN = (6, 9)  # reports of a manager, fewest and most
FIRST = ("Ada", "Ben", "Chloe", "Dino", "Eva", "Femi", "Gita", "Hana", "Ivan", "Jun", "Kofi", "Lena", "Max")
LAST = ("Abel", "Berg", "Costa", "Dietz", "Ekman", "Fabre", "Gomez", "Horn", "Ito", "Jansen", "Kaya", "Lund")
DEPARTMENTS = ("sales", "engineering", "support", "finance", "legal", "people")
TITLES = ("Chief executive", "Director", "Head of team", "Lead", "Specialist")
PAY = (240, 160, 110, 80, 55)  # thousands a year, by level


def company(chance: random.Random) -> list[dict[str, Any]]:
    """Everybody, bosses first: a tree by breadth, of as many levels as the size needs."""
    people = [_person(0, None, 0, "people", chance)]
    level = {0: 0}
    boss = 0
    while len(people) < SIZE:
        for _ in range(min(chance.randint(*SPAN), SIZE - len(people))):
            number = len(people)
            level[number] = level[boss] + 1
            department = DEPARTMENTS[number % len(DEPARTMENTS)] if boss == 0 else people[boss]["department"]
            people.append(_person(number, boss, level[number], department, chance))
        boss += 1
    return people


def _person(number: int, boss: int | None, level: int, department: str, chance: random.Random) -> dict[str, Any]:
    name = f"{chance.choice(FIRST)} {chance.choice(LAST)}"
    return {
        "_id": f"p{number:04}",
        "name": name,
        "title": TITLES[min(level, len(TITLES) - 1)],
        "department": department,
        **({} if boss is None else {"manager_id": f"p{boss:04}"}),
        "email": f"{name.lower().replace(' ', '.')}.{number}@acme.example",
        "phone": f"+43 1 {chance.randrange(10**6, 10**7)}",
        "salary": (PAY[min(level, len(PAY) - 1)] + chance.randint(-9, 9)) * 1000,
    }


def below(people: list[dict[str, Any]], boss: str) -> int:
    """How many are below, by the documents: what the gateway must come to by itself."""
    found = {boss}
    for one in people:  # bosses come before their reports
        if one.get("manager_id") in found:
            found.add(one["_id"])
    return len(found) - 1


def count(caller: Caller, filters: object) -> int:
    return int(caller.must("POST", "/people/count", {"filter": filters})["data"]["count"])


def pay_of(caller: Caller) -> str:
    """How many people the caller gets an average of, and what it is."""
    group = {"$group": {"_id": None, "people": {"$sum": 1}, "average": {"$avg": "$salary"}}}
    [row] = caller.must("POST", "/people/aggregate", {"pipeline": [group]})["data"]
    return f"{row['people']:,} people, {row['average']:,.0f} a year"


def tell(gateway: Gateway) -> None:
    people = company(random.Random(SEED))
    hr = gateway.caller("hr", "hr", tenant_id="acme")
    for first in range(0, SIZE, 1000):
        hr.must("POST", "/people/batch", {"documents": people[first : first + 1000], "atomic": True})
    print(f"{SIZE:,} people of acme, each with a manager but one.")
    employee = gateway.caller("p1999", "employee", tenant_id="acme")
    head, director, other, boss = (
        gateway.caller(name, "manager", tenant_id="acme") for name in ("p0009", "p0001", "p0002", "p0000")
    )
    who = {"the employee": employee, "a head of team": head, "the director": director, "the boss": boss}

    say("An employee sees a colleague, with the salary and most of the phone number masked; the director sees both:")
    for caller in (employee, director):
        caller.tells("GET", "/people/p0009")

    say("Whoever asks by salary asks about the salaries that they can read, so nobody finds one out by asking:")
    for name, caller in who.items():
        seen, known = count(caller, {}), count(caller, {"salary": {"$gt": 0}})
        under = below(people, caller.name)
        print(f"  {name:14} sees {seen:,} people, and salaries of {known:,}; the documents put {under:,} below them")

    say("So it is with averages:")
    for name, caller in who.items():
        print(f"  {name:14} {pay_of(caller)}")

    say("The head of team, with everybody below, goes to another director. It counts at the next request:")
    print(f"  before: the director {pay_of(director)}; the other one {pay_of(other)}")
    hr.must("PATCH", "/people/p0009", {"manager_id": "p0002"}, {"X-Change-Reason": "new structure"})
    print(f"  after:  the director {pay_of(director)}; the other one {pay_of(other)}")

    say("Nobody can be put below themselves, and nobody else may move people:")
    hr.tells("PATCH", "/people/p0002", {"manager_id": "p0009"})
    director.tells("PATCH", "/people/p0009", {"manager_id": "p0001"})


if __name__ == "__main__":
    with an_example(__file__) as gateway:
        tell(gateway)
