"""One gateway for all tests of the wire."""

from collections.abc import Iterator

import pytest

from tests.wire.server import Served, serving


@pytest.fixture(scope="package")
def served(mongo_uri, tmp_path_factory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("wire"), mongo_uri) as found:
        yield found
