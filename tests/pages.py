"""The pages that people read: README and its kin, docs/, the examples' pages; their blocks, links and headings."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
_FENCE = re.compile(r"^( *)```(\w*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
_HEADING = re.compile(r"^#{1,6} +(.+?) *$", re.MULTILINE)
_LINK = re.compile(r"(?<!\\)\]\(([^)\s]+)\)")


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block: its language, and its text."""

    language: str
    text: str

    @property
    def commands(self) -> list[str]:
        """What a shell is told, a command each: lines that go on, and texts that follow `<<'END'`, belong to theirs."""
        if self.language != "sh":
            return [line[2:] for line in self.text.splitlines() if line.startswith("$ ")]
        found: list[str] = []
        ends = ""  # the line at which what is begun ends; "\\" where the next line ends it unless it goes on
        for line in self.text.splitlines():
            if ends:
                found[-1] += f"\n{line}"
                ends = "" if line == ends or (ends == "\\" and not line.endswith("\\")) else ends
            elif line.strip() and not line.lstrip().startswith("#"):
                found.append(line)
                here = re.search(r"<<'(\w+)'", line)
                ends = here[1] if here else "\\" if line.endswith("\\") else ""
        return found


def pages() -> list[Path]:
    """Every page, README first."""
    named = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")]
    return [*named, *sorted((ROOT / "docs").rglob("*.md")), *sorted((ROOT / "examples").glob("*/README.md"))]


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def blocks(page: Path) -> list[Block]:
    return [
        Block(found[2], re.sub(rf"^{found[1]}", "", found[3], flags=re.MULTILINE))
        for found in _FENCE.finditer(page.read_text())
    ]


def prose(page: Path) -> str:
    """The page without its fenced blocks."""
    return _FENCE.sub("", page.read_text())


def anchors(page: Path) -> set[str]:
    """What a link may name behind `#`: headings, as GitHub and the site generator spell them."""
    found: set[str] = set()
    for heading in _HEADING.findall(prose(page)):
        text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "").lower()
        found.add(re.sub(r"\s", "-", re.sub(r"[^\w\s-]", "", text)))
    return found


def links(page: Path) -> Iterator[str]:
    """Where links and pictures lead, code and addresses outside apart."""
    for target in _LINK.findall(re.sub(r"`[^`\n]*`", "", prose(page))):
        if not re.match(r"[a-z]+:", target):
            yield target
