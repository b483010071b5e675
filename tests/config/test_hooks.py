"""hooks.yml: what is not understood, or could not be kept, is refused with its place."""

import pytest

from permission_mongo.config.load import load_config
from permission_mongo.errors import Misconfigured
from tests.http import people
from tests.http.harness import CONFIG, POLICY, SCHEMA, a_config

URL = "action: http, url: 'https://example.com/x', secret: '0123456789abcdef01234567'"


def loaded(folder, hooks, config=CONFIG, policy=POLICY):
    texts = {"config.yaml": config, "schema.yml": SCHEMA, "policy.yml": policy, "hooks.yml": hooks}
    for name, text in texts.items():
        (folder / name).write_text(text)
    return load_config(folder, {})


def refused(folder, event, hook, **more):
    with pytest.raises(Misconfigured) as caught:
        loaded(folder, f"hooks:\n  notes:\n    {event}:\n      - {{{hook}}}\n", **more)
    return [str(one) for one in caught.value.findings if not one.warning]


@pytest.mark.parametrize(
    ("event", "hook", "message"),
    [
        ("pre_create", "field: title", "a hook names its 'action'"),
        ("pre_create", "action: set_feild, field: title", "did you mean 'set_field'"),
        ("pre_create", "action: set_field, value: x", "this hook names a 'field'"),
        ("pre_create", "action: set_field, field: title", "a 'set_field' has a 'value'"),
        ("pre_create", "action: set_field, field: titel, value: x", "did you mean 'title'"),
        ("pre_create", "action: set_field, field: tags.0, value: x", "has no positions"),
        ("pre_create", "action: set_field, field: pay., value: x", "has no positions"),
        ("pre_create", "action: set_field, field: lines.sku, value: x", "nothing below it can be set"),
        ("pre_create", "action: set_field, field: age, value: many", "'age'"),
        ("pre_create", "action: set_field, field: title, value: $auto.sequenc.x", "unknown name"),
        ("pre_create", "action: set_field, field: title, value: $doc.title", "unknown name"),
        ("pre_create", "action: set_field, field: title, value: $new.nothing", "no field 'nothing'"),
        ("pre_update", "action: set_field, field: age, value: $auto.sequence.x", "in pre_create"),
        ("pre_create", "action: set_field, field: title, value: x, more: y", "unknown key 'more'"),
        *(
            ("pre_update", f"action: set_field, field: {name}, value: x", "is written by the gateway alone")
            for name in ("tenant_id", "owner_id", "_id", "_version", "created_at", "updated_by")
        ),
        ("pre_update", "action: set_field, field: _made, value: x", "has no field '_made'"),
        ("pre_create", "action: transform, field: title", "says how"),
        ("pre_create", "action: transform, field: title, with: reverse", "'hooks.notes.pre_create[0].with' is one of"),
        ("pre_create", "action: transform, field: age, with: lower", "a transform is for texts"),
        ("pre_create", "action: validate", "has a 'condition'"),
        ("pre_create", "action: validate, condition: 'resource.titel == 1'", "no field 'titel'"),
        ("pre_create", "action: validate, condition: 'old.title == 1'", "unknown name 'old'"),
        ("pre_update", "action: validate, condition: 'doc.title == 1'", "unknown name 'doc'"),
        ("pre_delete", "action: validate, condition: '$new.title == 1'", "unknown name '$new'"),
        ("pre_update", "action: validate, condition: 'old.title == new.title'", "can't be compared with each other"),
        ("pre_update", "action: validate, condition: 'user.id in user.$subordinates'", "policy.yml"),
        ("pre_create", "action: validate_ref, field: title, collection: nots", "did you mean 'notes'"),
        ("pre_create", "action: validate_ref, field: title, collection: plain", "ids of 'plain' are of type objectId"),
        ("pre_delete", "action: set_field, field: title, value: x", "a deletion stores nothing"),
        ("post_update", "action: set_field, field: title, value: x", "a post hook is 'http'"),
        ("post_update", "action: validate, condition: 'true'", "a post hook is 'http'"),
        ("post_update", "action: http, secret: '0123456789abcdef01234567'", "has a 'url'"),
        ("post_update", "action: http, url: 'https://example.com'", "at least 24 bytes"),
        ("post_update", "action: http, url: 'https://example.com', secret: short", "at least 24 bytes"),
        ("post_update", "action: http, url: 'https://example.com', secret: 'whsec_!'", "is Base64"),
        (
            "post_update",
            "action: http, url: 'ftp://example.com', secret: '0123456789abcdef01234567'",
            "begins with https",
        ),
        ("post_update", "action: http, url: 'http://127.1/', secret: '0123456789abcdef01234567'", "an unusual form"),
        ("post_update", f"{URL}, method: DELETE", "is one of POST, PUT, PATCH"),
        ("post_update", f"{URL}, timeout: 5m", "at most 60s"),
        ("pre_update", f"{URL}, timeout: 31s", "at most 30s"),
        ("post_update", f"{URL}, async: false", "after the commit"),
        ("pre_update", f"{URL}, async: true", "a write waits for a pre hook"),
        ("post_update", f"{URL}, on_failure: reject", "can't undo"),
        ("post_update", f"{URL}, headers: {{host: x}}", "can't be set by a hook"),
        ("post_update", f"{URL}, headers: {{webhook-id: x}}", "can't be set by a hook"),
        ("post_update", f'{URL}, headers: {{x-a: "a\\r\\nb: c"}}', "plain ASCII in one line"),
        ("post_update", f"{URL}, fields: [nothing]", "no field 'nothing'"),
        ("post_update", f"{URL}, condition: 'true'", "unknown key 'condition'"),
        ("post_updated", URL, "unknown key 'post_updated'"),
    ],
)
def test_each_mistake_is_told_with_its_place(tmp_path, event, hook, message):
    found = refused(tmp_path, event, hook)
    assert any(message in line and line.startswith("hooks.yml:") for line in found), found


def test_a_field_that_a_rule_stamps_is_no_hooks(tmp_path):
    policy = POLICY.replace('boss: {actions: ["*", purge]}', 'boss: {actions: ["*", purge], set: {email: user.id}}', 1)
    assert policy != POLICY
    found = refused(tmp_path, "pre_update", "action: set_field, field: email, value: x", policy=policy)
    assert any("is written by 'set' of a rule" in line for line in found)


def test_who_is_above_whom_is_no_hooks(tmp_path):
    hooks = "hooks: {users: {pre_update: [{action: set_field, field: manager_id, value: $user.id}]}}"
    with pytest.raises(Misconfigured, match="'manager_id' is written by who may say who is above whom"):
        a_config(tmp_path, schema=people.SCHEMA, policy=people.POLICY, hooks=hooks)


@pytest.mark.parametrize("value", ["{$where: 1}", "{a.b: 1}", "[{'': 1}]"])
def test_a_value_with_names_that_no_caller_may_store_is_refused(tmp_path, value):
    schema = SCHEMA.replace("      ssn: {type: string}\n", "      ssn: {type: string}\n      meta: {type: any}\n")
    hooks = f"hooks: {{notes: {{pre_update: [{{action: set_field, field: meta, value: {value}}}]}}}}"
    with pytest.raises(Misconfigured, match="a field's name can't"):
        a_config(tmp_path, CONFIG, schema, POLICY, hooks)


def test_two_hooks_of_one_name_are_told_apart_by_the_writer(tmp_path):
    with pytest.raises(Misconfigured, match="give each a 'name' of its own"):
        loaded(tmp_path, f"hooks: {{notes: {{post_update: [{{{URL}}}, {{{URL}}}]}}}}")
    named = f"hooks: {{notes: {{post_update: [{{{URL}}}, {{{URL}, name: second}}]}}}}"
    assert len(loaded(tmp_path, named).receivers()) == 2


def test_networks_that_are_none_are_refused(tmp_path):
    with pytest.raises(Misconfigured, match=r"config\.yaml:.*'10\.1\.0\.0/33' is no address"):
        loaded(tmp_path, "hooks: {}", config=CONFIG + "hooks: {allow_addresses: [10.1.0.0/33]}\n")


def test_a_text_with_two_signs_is_a_text_with_one(tmp_path):
    hooks = loaded(tmp_path, "hooks: {notes: {pre_create: [{action: set_field, field: title, value: $$x}]}}").hooks
    assert hooks["notes"].pre["create"][0].value.value == "$x"
