"""What `p2pchat link` says while no server runs."""

from pathlib import Path

from .links import links, own_name, recall


def join_links(state: Path) -> list[str]:
    """
    The join links of the server whose state directory is `state`, as it would print them now.

    Blocks for the name service. Raises StateError if no server ever ran there.
    """
    return [str(link) for link in links(recall(state), own_name())]
