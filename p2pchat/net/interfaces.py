"""The addresses of this machine, as others may reach it."""

import ifaddr

from ..core.addresses import parse


def own_addresses() -> list[str]:
    """Every address of this machine that is neither loopback nor link-local, IPv4 first."""
    found: list[str] = []
    for adapter in ifaddr.get_adapters():
        for entry in adapter.ips:
            text = entry.ip if isinstance(entry.ip, str) else entry.ip[0]
            address = parse(text)
            if address is not None and not address.is_loopback and not address.is_link_local:
                found.append(str(address))
    return sorted(dict.fromkeys(found), key=lambda text: ":" in text)
