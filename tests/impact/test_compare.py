"""What each kind of change of a policy is told as."""

from pathlib import Path

import pytest

from permission_mongo.config.load import load_config
from permission_mongo.impact.compare import compare
from permission_mongo.impact.kinds import widening
from permission_mongo.impact.reports import in_words

SCHEMA = """
settings: {id_type: string, default_tenant_field: t, default_owner_field: owner}
collections:
  notes:
    client_ids: true
    versioning: {enabled: true}
    fields:
      t: {type: string}
      owner: {type: string}
      status: {type: string}
      salary: {type: number}
      email: {type: string}
      once: {type: string, immutable: true}
"""
HEAD = "roles: {viewer: {}, user: {inherits: [viewer]}}\n"


def load(folder: Path, policy: str, schema: str = SCHEMA):
    folder.mkdir(exist_ok=True)
    (folder / "config.yaml").write_text("auth: {secret: '0123456789012345678901234567890123456789'}\n")
    (folder / "schema.yml").write_text(schema)
    (folder / "policy.yml").write_text(policy if "roles:" in policy else HEAD + policy)
    return load_config(folder, {})


def rules(*lines: str) -> str:
    """Rules of viewers on notes."""
    return "policies:\n  notes:\n    viewer:\n" + "".join(f"      - {line}\n" for line in lines)


def told(
    tmp_path: Path, old: str, new: str, *beside: tuple[str, ...], schemas=(SCHEMA, SCHEMA)
) -> dict[str, list[str]]:
    """By kind: who, and what is told of it."""
    found: dict[str, list[str]] = {"gained": [], "lost": [], "unsure": []}
    changes = compare(load(tmp_path / "old", old, schemas[0]), load(tmp_path / "new", new, schemas[1]), beside)
    for change in changes:
        text = change.text.replace("{does}", change.action)
        found[change.kind].append(f"{'+'.join(change.roles)}: {text}")
    assert widening(changes) == bool(found["gained"] or found["unsure"])
    assert in_words(changes, None)
    return found


READ = "{actions: [read], when: \"resource.status == 'open'\"}"
DELETE = "{actions: [delete], when: \"resource.status == 'draft'\"}"


def only(kind: str, *texts: str) -> dict[str, list[str]]:
    return {"gained": [], "lost": [], "unsure": []} | {kind: list(texts)}


def test_equal_policies_say_nothing(tmp_path):
    assert told(tmp_path, rules(READ), "# moved\n" + HEAD + rules(READ)) == only("gained")


def test_an_added_rule_is_told_for_the_role_and_all_that_inherit_it(tmp_path):
    text = "may now delete notes where resource.status == 'draft'"
    assert told(tmp_path, rules(READ), rules(READ, DELETE)) == only("gained", f"viewer: {text}", f"user: {text}")
    text = text.replace("now", "no longer")
    assert told(tmp_path, rules(READ, DELETE), rules(READ)) == only("lost", f"viewer: {text}", f"user: {text}")


def test_an_added_action_is_told(tmp_path):
    found = told(tmp_path, rules("{actions: [read]}"), rules("{actions: [read, purge]}"))
    assert found == only("gained", "viewer: may now purge notes", "user: may now purge notes")


def test_a_widened_condition_is_gained_a_narrowed_one_lost_and_another_one_unsure(tmp_path):
    wider = READ.replace("== 'open'", "in ['open', 'done']")
    other = READ.replace("status == 'open'", "owner == user.id")
    before = "may {} read notes where resource.status in ['open', 'done'] ({}: where resource.status == 'open')"
    assert told(tmp_path, rules(READ), rules(wider))["gained"][0] == f"viewer: {before.format('now', 'before')}"
    found = told(tmp_path, rules(wider), rules(READ))
    assert found["lost"][0] == f"viewer: {before.format('no longer', 'now')}"
    assert found["gained"] == found["unsure"] == []
    found = told(tmp_path, rules(READ), rules(other))
    assert found["unsure"][0] == (
        "viewer: may now read notes where resource.owner == user.id (before: where resource.status == 'open')"
    )
    assert found["gained"] == found["lost"] == []


def test_fields_gained_on_rows_that_were_visible_already(tmp_path):
    less = "{actions: [read], fields: {deny: [salary]}}"
    found = told(tmp_path, rules(less), rules("{actions: [read]}"))
    assert found == only("gained", "viewer: now reads salary in notes", "user: now reads salary in notes")
    found = told(tmp_path, rules("{actions: [read]}"), rules(less))
    assert found == only("lost", "viewer: no longer reads salary in notes", "user: no longer reads salary in notes")


def test_masks_weakened_and_strengthened(tmp_path):
    raw, mask, other = (
        f"{{actions: [read], fields: {{mask: {{{text}}}}}}}" for text in ("salary: hash", "email: email, salary: hash", "email: partial, salary: hash")
    )  # fmt: skip
    assert told(tmp_path, rules(mask), rules(raw))["gained"][0] == (
        "viewer: now reads email raw (was masked by email) in notes"
    )
    assert told(tmp_path, rules(raw), rules(mask)) == only(
        "lost",
        "viewer: now reads email masked by email (before: raw) in notes",
        "user: now reads email masked by email (before: raw) in notes",
    )
    assert told(tmp_path, rules(mask), rules(other))["unsure"][0] == (
        "viewer: now reads email masked by partial (before: masked by email) in notes"
    )


def test_a_removed_rule_that_decided_by_which_mask_counts_as_gained(tmp_path):
    """The first rule's mask stands: without it the weaker one of the other rule is shown."""
    strong, weak = ("{actions: [read], fields: {mask: {email: " + kind + "}}}" for kind in ("redact", "email"))
    assert told(tmp_path, rules(strong, weak), rules(weak))["unsure"]


def test_a_removed_deny_is_gained_and_an_added_one_lost(tmp_path):
    deny = "{effect: deny, actions: [delete], when: resource.salary > 5}"
    both = "{actions: [read, delete]}"
    text = "viewer: is no longer denied to delete notes where resource.salary > 5"
    assert told(tmp_path, rules(both, deny), rules(both))["gained"][0] == text
    assert told(tmp_path, rules(both), rules(both, deny))["lost"][0] == text.replace("no longer", "now")
    weaker = deny.replace("> 5", "> 9")
    assert told(tmp_path, rules(both, deny), rules(both, weaker))["gained"]
    assert told(tmp_path, rules(both, weaker), rules(both, deny))["gained"] == []


def test_fields_hidden_no_longer(tmp_path):
    hide = "{effect: deny, actions: [read], fields: [salary]}"
    found = told(tmp_path, rules("{actions: [read]}", hide), rules("{actions: [read]}"))
    assert found["gained"][0] == "viewer: no longer has salary hidden from read in notes"
    assert found["lost"] == []


def test_a_changed_template_is_told_where_it_is_used(tmp_path):
    template = "templates: {shared: {viewer: {actions: [read], when: \"resource.status == 'open'\"}}}\npolicies: {notes: {use: [shared]}}\n"
    found = told(tmp_path, template, template.replace("'open'", "'done'"))
    assert found["unsure"]
    assert told(tmp_path, template, rules(READ)) == only("gained"), "a template is its rules"


def test_a_changed_inheritance_is_told(tmp_path):
    apart = "roles: {viewer: {}, user: {}}\n" + rules(READ)
    found = told(tmp_path, apart, HEAD + rules(READ))
    assert found == only("gained", "user: may now read notes where resource.status == 'open'")


def test_a_role_that_crosses_tenants(tmp_path):
    crossing = "roles: {viewer: {}, user: {inherits: [viewer], cross_tenant: true}}\n" + rules(READ)
    found = told(tmp_path, HEAD + rules(READ), crossing)
    assert found == only("gained", "user: may now read notes where resource.status == 'open', of every tenant")


def test_a_collection_that_loses_its_tenant_field(tmp_path):
    without = SCHEMA.replace("    client_ids", "    access: {tenant_field: null}\n    client_ids")
    found = told(tmp_path, rules(READ), rules(READ), schemas=(SCHEMA, without))
    assert found["gained"][0].endswith("of every tenant")


def test_a_new_role_gains_and_a_removed_one_loses(tmp_path):
    more = (
        "roles: {viewer: {}, user: {inherits: [viewer]}, guest: {}}\n"
        + rules(READ)
        + "    guest: {actions: [read], fields: {allow: [status]}}\n"
    )
    assert told(tmp_path, rules(READ), more) == only("gained", "guest: may now read notes: its status")
    assert told(tmp_path, more, rules(READ)) == only("lost", "guest: may no longer read notes: its status")


def test_a_removed_role_that_denied_is_a_gain_beside_others(tmp_path):
    more = "roles: {viewer: {}, user: {inherits: [viewer]}, blocked: {}}\n" + rules(READ)
    more += "    blocked: {effect: deny, actions: [read]}\n"
    assert told(tmp_path, more, rules(READ))["gained"] == [
        "blocked: is no longer denied to read notes (beside other roles)"
    ]


def test_a_default_denial_stays_with_the_roles_that_stay(tmp_path):
    defaults = "defaults: {deny_fields: [salary]}\n"
    more = "roles: {viewer: {}, user: {inherits: [viewer]}, guest: {}}\n" + rules(READ) + defaults
    assert told(tmp_path, more, rules(READ) + defaults)["gained"] == []
    assert told(tmp_path, rules(READ) + defaults, rules(READ))["gained"]


def test_roles_together(tmp_path):
    roles = "roles: {viewer: {}, user: {}}\n"
    both = roles + rules(READ) + "    user: {effect: deny, actions: [read], when: resource.salary > 5}\n"
    found = told(tmp_path, both, roles + rules(READ), ("viewer", "user"))
    assert "viewer+user: is no longer denied to read notes where resource.salary > 5" in found["gained"]


WRITE = '{actions: [read, update], when: "resource.owner == user.id", check: "resource.status == \'open\'"}'


def test_a_loosened_check(tmp_path):
    looser = WRITE.replace("check: \"resource.status == 'open'\"", "check: \"resource.status in ['open', 'done']\"")
    found = told(tmp_path, rules(WRITE), rules(looser))
    assert found["unsure"] == found["lost"] == []
    assert "what it may update in notes must then be:" in found["gained"][0]
    assert told(tmp_path, rules(looser), rules(WRITE))["gained"] == []


def test_a_check_of_its_own_that_forgets_the_denials(tmp_path):
    """By default a document must stay out of what is denied; a check of its own says all."""
    deny = "{effect: deny, actions: [update], when: \"resource.status == 'done'\"}"
    default = '{actions: [read, update], when: "resource.owner == user.id"}'
    own = '{actions: [read, update], when: "resource.owner == user.id", check: "resource.owner == user.id"}'
    assert told(tmp_path, rules(default, deny), rules(own, deny))["gained"]
    assert told(tmp_path, rules(own, deny), rules(default, deny))["gained"] == []


def test_reassign_added(tmp_path):
    more = WRITE.replace("check:", "fields: {reassign: [owner]}, check:")
    found = told(tmp_path, rules(WRITE), rules(more))
    assert found["gained"][0] == "viewer: may now write owner (update) in notes where resource.owner == user.id"
    assert told(tmp_path, rules(more), rules(WRITE))["gained"] == []


def test_a_field_that_may_be_written_now(tmp_path):
    less = WRITE.replace("check:", "fields: {deny_write: [salary]}, check:")
    found = told(tmp_path, rules(less), rules(WRITE))
    assert found["gained"][0] == "viewer: may now write salary (update) in notes where resource.owner == user.id"


def test_a_condition_elsewhere_that_no_longer_guards_a_field(tmp_path):
    """What a role is judged by it may not write: a condition less, and it may."""
    judged = '{actions: [delete], when: "resource.salary == 1"}'
    found = told(tmp_path, rules(WRITE, judged), rules(WRITE))
    assert [text for text in found["gained"] if "write salary" in text]


def test_set_removed_and_added(tmp_path):
    stamped = WRITE.replace("check:", "set: {email: user.id}, check:")
    found = told(tmp_path, rules(stamped), rules(WRITE))
    assert "viewer: the gateway no longer writes email = user.id (update)" in found["gained"]
    assert told(tmp_path, rules(WRITE), rules(stamped))["unsure"][0] == (
        "viewer: the gateway now writes email = user.id (update)"
    )


def test_rights_of_the_system(tmp_path):
    found = told(tmp_path, rules(READ), HEAD.replace("viewer: {}", "viewer: {system: [audit]}") + rules(READ))
    assert found == only("gained", "viewer: now has the system right 'audit'")


@pytest.mark.parametrize(
    ("before", "after", "kind"),
    [
        ("client_ids: true", "client_ids: false", "lost"),
        ("immutable: true", "immutable: false", "gained"),
        ("versioning: {enabled: true}", "versioning: {enabled: false}", "lost"),
        ("client_ids: true", "allow_regex: true\n    client_ids: true", "gained"),
        ("client_ids: true", "additional_fields: keep\n    client_ids: true", "gained"),
    ],
)
def test_keys_of_the_schema_that_say_what_callers_may(tmp_path, before, after, kind):
    found = told(tmp_path, rules(READ), rules(READ), schemas=(SCHEMA, SCHEMA.replace(before, after)))
    assert found[kind]
    assert told(tmp_path, rules(READ), rules(READ), schemas=(SCHEMA.replace(before, after), SCHEMA))[kind] == []


def test_a_field_of_another_type_makes_its_conditions_other_ones(tmp_path):
    rule = rules("{actions: [read], when: resource.salary == user.pay}")
    assert told(
        tmp_path, rule, rule, schemas=(SCHEMA, SCHEMA.replace("salary: {type: number}", "salary: {type: string}"))
    )["unsure"]


def test_what_everybody_inherits_is_told_once(tmp_path):
    changes = compare(load(tmp_path / "old", rules(READ)), load(tmp_path / "new", rules(READ, DELETE)))
    assert in_words(changes, None).count("may now delete") == 1
    assert "viewer, user: may now delete notes" in in_words(changes, None)
