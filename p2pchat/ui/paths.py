"""Names of files, for the completion."""

import os

MOST_OFFERED = 50
"""Names that are offered; more is no help."""


def path_offers(begun: str) -> list[str]:
    """
    What a path that was begun may become: names without blanks, a directory with a slash behind it.

    Hidden ones only if their dot was typed. Nothing where nothing can be read.
    """
    folder, name = os.path.split(begun)
    lead = begun[: len(begun) - len(name)]
    try:
        with os.scandir(os.path.expanduser(folder) or ".") as found:
            entries = [entry for entry in found if entry.name.startswith(name)]
            offers = [lead + entry.name + ("/" if entry.is_dir() else "") for entry in entries if _offered(entry, name)]
    except (OSError, ValueError):
        return []
    return sorted(offers)[:MOST_OFFERED]


def _offered(entry: "os.DirEntry[str]", name: str) -> bool:
    plain = entry.name.isprintable() and not any(sign in entry.name for sign in " \"'")
    return plain and (name.startswith(".") or not entry.name.startswith("."))
