"""What the site is built of: the pages and the files that they link to, copied into `.docs` as they lie here.

So a link from `docs/` to `config/` or `examples/` is good in both, and nothing else of the repository is published.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
STAGE = ROOT / ".docs"
PAGES = ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md", "LICENSE", "docs/**/*", "examples/*/README.md")
_LINK = re.compile(r"\]\(([^)\s#]+)")


def pages() -> Iterator[Path]:
    for pattern in PAGES:
        yield from (one for one in ROOT.glob(pattern) if one.is_file())


def linked(page: Path) -> Iterator[Path]:
    """Files that the page links to. A link to a folder is to what it holds, which a site has no page for."""
    for target in _LINK.findall(page.read_text()):
        file = (page.parent / target).resolve()
        if not re.match(r"[a-z]+:", target) and file.is_file() and file.is_relative_to(ROOT):
            yield file


def main() -> None:
    shutil.rmtree(STAGE, ignore_errors=True)
    found = set(pages())
    for file in found | {one for page in found if page.suffix == ".md" for one in linked(page)}:
        place = STAGE / file.relative_to(ROOT)
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, place)


if __name__ == "__main__":
    main()
