"""The environment as configurations read it: a variable may stand in a file, which `NAME_FILE` names.

So secrets that a container platform or systemd hands over as files need not go through the environment of the process,
where others may read them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from permission_mongo.errors import Finding, Misconfigured

_FILE: Final = "_FILE"
_LONGEST: Final = 64 * 2**10  # bytes: more is no secret


@dataclass(frozen=True, slots=True)
class FromFiles(Mapping[str, str]):
    """Variables, else what their files hold, without the line's end. Misconfigured for a file that can't be read."""

    variables: Mapping[str, str] = field(repr=False)

    def __getitem__(self, name: str) -> str:
        place = self.variables.get(f"{name}{_FILE}")
        if not place:
            return self.variables[name]
        if name in self.variables:
            raise _wrong(name, f"is set beside {name}; keep one of them")
        try:
            content = Path(place).read_bytes()
            if len(content) > _LONGEST:
                raise _wrong(name, f"names a file of more than {_LONGEST} bytes")
            return content.decode().rstrip("\r\n")
        except UnicodeDecodeError as error:
            raise _wrong(name, f"names {place}, which is not UTF-8") from error
        except OSError as error:
            raise _wrong(name, f"names {place}: {error.strerror}") from error

    def __iter__(self) -> Iterator[str]:
        return iter(self.variables)

    def __len__(self) -> int:
        return len(self.variables)


def _wrong(name: str, message: str) -> Misconfigured:
    return Misconfigured([Finding(f"{name}{_FILE}", 0, 0, message, code="file")])
