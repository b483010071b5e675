"""What a caller may ask, as OpenAPI 3.1. Pure: made of a configuration and of what planning says of the caller.

Knows the HTTP contract by its words and no framework. Who sees what is decided by planning; nothing here asks a policy.
"""
