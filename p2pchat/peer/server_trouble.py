"""Why a server is not there, and what to do about it, in words."""

from ..core.errors import EndCode

_CODES = {
    EndCode.NOT_ADMITTED: (
        "does not admit this address",
        "it takes private addresses only; its operator can start it with --open",
    ),
    EndCode.FULL: ("has no room", "its operator can start it with a greater --capacity"),
    EndCode.HANDLE_TAKEN: (
        "knows somebody else under your name",
        "take another one: p2pchat stop, then p2pchat peer --name NAME",
    ),
    EndCode.VERSION: ("speaks another version", "one of the two needs a newer p2pchat"),
    EndCode.DISPLACED: (
        "has another peer with your key online",
        "if that is you, stop one of the two; if not, somebody has your key: p2pchat identity export, and a new one",
    ),
    EndCode.BAD_RECORD: (
        "does not take this peer's record",
        "a newer p2pchat on one of the two sides; please report it",
    ),
    EndCode.LEAVING: ("has been stopped", "wait, or ask its operator"),
    EndCode.INTERNAL: ("has trouble of its own", "its operator finds more in its log"),
    EndCode.TIMEOUT: ("does not answer in time", "look whether its machine is overloaded, or the network loses much"),
}

_START = "start the server there (p2pchat status says how it is), or join again if it moved: p2pchat join LINK"
_LET_IN = "on its machine, let TCP port {port} in: sudo ufw allow {port}/tcp, or firewall-cmd --add-port={port}/tcp"
_ROUTE = "look at this machine's network: ip route get ADDRESS"
_NAME = "look whether its name is right, and the name service answers: getent hosts NAME"

_SIGNS = (
    ("nobody listens", _START),
    ("refused", _START),
    ("no answer", _LET_IN),
    ("timed out", _LET_IN),
    ("no route", _ROUTE),
    ("unreachable", _ROUTE),
    ("no such name", _NAME),
    ("no host", _NAME),
    ("expired", "tell its operator to renew the certificate"),
    ("check this machine's clock", "sudo timedatectl set-ntp true"),
    ("another key", "ask its operator; if the server is new: p2pchat join with the whole link"),
    ("authority", "ask its operator; a certificate that was there before must not be missing"),
)
"""What stands in the lines of net.dialler.why_not, net.verification and peer.probe."""


def remedy(address: str, port: int, reason: str) -> tuple[str, str]:
    """What is wrong with the server at `address`, and the fix; `reason` is a code of section 5, or one line."""
    for code, (words, fix) in _CODES.items():
        if reason == code.value:
            return f"{address} {words}", fix
    lowered = reason.lower()
    fix = next((fix for sign, fix in _SIGNS if sign in lowered), "look whether the server runs, and ask its operator")
    text = reason if address in reason else f"{address} cannot be reached: {reason or 'no reason was given'}"
    return text, fix.format(port=port)
