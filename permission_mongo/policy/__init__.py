"""The rule language and the grants: what a policy says, before anybody asks."""
