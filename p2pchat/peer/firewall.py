"""The command that lets others in, for the firewall that this machine has."""

import os
import shutil

TOOLS = ("firewall-cmd", "ufw", "nft", "iptables")
"""In the order in which they are asked for: who has one of the first two keeps the rules of the others with it."""

SYSTEM_PATH = ("/usr/sbin", "/sbin")
"""Where they are; not on everybody's PATH."""


def find_tool(path: str | None = None) -> str:
    """The firewall tool of this machine, the empty string if there is none; `path` as in the environment."""
    given = os.environ.get("PATH", os.defpath) if path is None else path
    places = os.pathsep.join((given, *SYSTEM_PATH)) if path is None else given
    return next((tool for tool in TOOLS if shutil.which(tool, path=places)), "")


def let_in(tool: str, port: int) -> str:
    """What to type so that TCP connections to `port` come through."""
    match tool:
        case "firewall-cmd":
            return f"sudo firewall-cmd --permanent --add-port={port}/tcp && sudo firewall-cmd --reload"
        case "ufw":
            return f"sudo ufw allow {port}/tcp"
        case "nft":
            return (
                f"sudo nft insert rule inet filter input tcp dport {port} accept "
                "(table and chain as in: sudo nft list ruleset; keep it in /etc/nftables.conf)"
            )
        case "iptables":
            return f"sudo iptables -I INPUT -p tcp --dport {port} -j ACCEPT"
    return f"let TCP connections to port {port} in, in the firewall of this machine or before it"
