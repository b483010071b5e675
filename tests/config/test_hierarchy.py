"""What `hierarchy` declares, and what it can't."""

import pytest

from permission_mongo.config.load import load_config
from permission_mongo.errors import Misconfigured
from permission_mongo.schema.model import Hierarchy, Ref

CONFIG = "auth: {secret: '0123456789abcdef0123456789abcdef'}\n"
SCHEMA = """settings: {id_type: string, default_tenant_field: tenant_id}
collections:
  users:
    hierarchy: HIERARCHY
    indexes: [INDEX]
    fields:
      tenant_id: {type: string}
      login: {type: string}
      boss: {type: string}
      number: {type: integer}
      oid: {type: objectId}
      home: {type: object, properties: {boss: {type: string}}}
"""
POLICY = """roles: {lead: {}}
policies:
  users:
    lead: {actions: [read], when: "resource.boss in user.$subordinates"}
"""
UNIQUE = "{fields: [tenant_id, login], unique: true}"


def loaded(folder, hierarchy, index="", policy=POLICY, more=""):
    schema = SCHEMA.replace("HIERARCHY", hierarchy).replace("INDEX", index) + more
    for name, text in (("config.yaml", CONFIG), ("schema.yml", schema), ("policy.yml", policy)):
        (folder / name).write_text(text)
    return load_config(folder, {})


def test_a_manager_named_by_document_id_is_a_reference(tmp_path):
    users = loaded(tmp_path, "{manager_field: boss}").collections["users"]
    assert users.hierarchy == Hierarchy("_id", "boss")
    assert users.fields["boss"].ref == Ref("users")
    assert users.placing == {"_id", "boss"}


def test_a_reference_of_its_own_stays(tmp_path):
    config = loaded(
        tmp_path,
        "{manager_field: chief}",
        more="      chief: {type: string, ref: {collection: users, existence: tenant}}\n",
    )
    assert config.collections["users"].fields["chief"].ref == Ref("users", widely=True)


def test_another_field_than_the_id_needs_a_unique_index(tmp_path):
    named = "{user_id_field: login, manager_field: boss}"
    assert loaded(tmp_path, named, UNIQUE).collections["users"].fields["boss"].ref is None
    for index in ("", "{fields: [tenant_id, login]}", "{fields: [tenant_id, login, boss], unique: true}"):
        with pytest.raises(Misconfigured, match=r"schema.yml:4:\d+: 'login' needs a unique index"):
            loaded(tmp_path, named, index)


@pytest.mark.parametrize(
    ("hierarchy", "message"),
    [
        ("{manager_field: bos}", "declares no field 'bos'; did you mean 'boss'"),
        ("{}", "declares no field ''"),
        ("{manager_field: number}", "'number' is of type integer"),
        ("{manager_field: home.boss}", "declares no field 'home.boss'"),
        ("{manager_field: oid}", "of the type of 'user_id_field'"),
        ("{user_id_field: boss, manager_field: boss}", "a field of its own"),
        ("{manager_field: boss, depth: 3}", "unknown key 'depth'"),
    ],
)
def test_what_says_nobody_is_refused_at_its_place(tmp_path, hierarchy, message):
    with pytest.raises(Misconfigured) as refused:
        loaded(tmp_path, hierarchy)
    assert any(message in str(one) and str(one).startswith("schema.yml:4:") for one in refused.value.findings)


def test_there_is_one(tmp_path):
    more = "  others:\n    hierarchy: {manager_field: boss}\n    fields: {tenant_id: {type: string}, boss: {type: string}}\n"
    with pytest.raises(Misconfigured, match="'users' has a hierarchy already"):
        loaded(tmp_path, "{manager_field: boss}", more=more)


def test_a_stamp_is_no_list_of_people(tmp_path):
    policy = POLICY + "      set: {boss: user.$ancestors}\n"
    policy = policy.replace('{actions: [read], when: "resource.boss in user.$subordinates"}', "\n      actions: [read]")
    with pytest.raises(Misconfigured, match="is a list of people"):
        loaded(tmp_path, "{manager_field: boss}", policy=policy)
