"""The names of datasets in a dump, made from addresses."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kprobe.errors import DumpError

if TYPE_CHECKING:
    from collections.abc import Iterable

RESERVED_NAMES = frozenset(
    {
        *("sample", "sample_name", "label", "valid", "reason"),
        *("committed", "complete", "started", "finished"),
    }
)
RESERVED_PREFIX = "dim_"


def column_name(address: str) -> str:
    """Return the name of the dataset for an address without an alias.

    A `/` would make a group in HDF5, and a dump is flat.
    """
    return address.replace("/", ".")


def check_names(pairs: Iterable[tuple[str, str]]) -> None:
    """Check that the datasets of a dump can have the names chosen for them.

    Args:
        pairs: Each address with the name of its dataset.

    Raises:
        DumpError: Different addresses have one name, a name is the address of another dataset,
            is kept by the format for itself, or can't name a dataset. All such are listed.
    """
    pairs = list(pairs)
    known = {address for address, _ in pairs}
    addresses_of: dict[str, list[str]] = {}
    for address, name in pairs:
        addresses = addresses_of.setdefault(name, [])
        if address not in addresses:
            addresses.append(address)
    faults = []
    for name, addresses in addresses_of.items():
        listed = ", ".join(addresses)
        if name in RESERVED_NAMES or name.startswith(RESERVED_PREFIX):
            faults.append(f"{listed}: the name '{name}' is kept by the dump's format for itself")
        elif not name.isprintable():  # surrogates and control characters
            faults.append(f"{listed}: expected a name of printable text: {name!r}")
        elif name in ("", ".") or "/" in name:
            faults.append(f"{listed}: expected a name without '/', not empty and not '.': '{name}'")
        elif len(addresses) > 1:
            faults.append(f"{listed}: expected a name for each, and all would be '{name}'")
        elif name in known and name not in addresses:
            faults.append(f"{listed}: the name '{name}' is the address of another layer")
    if faults:
        raise DumpError(*faults, hint="name them yourself with an alias: ALIAS=ADDRESS")
