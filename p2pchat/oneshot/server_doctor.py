"""`p2pchat doctor --server`: whether everything is well with the server here, whether or not it runs."""

import time
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Any

from ..api import Finding, ServerReport
from .running import held


def examine_server(state: Path, report: ServerReport | None) -> Sequence[Finding]:
    """Look at the server whose state directory is `state`; `report`: what it says itself, if it runs."""
    from ..peer.probe import probe_server
    from ..server import checkup
    from ..server.diagnosis import RendezvousFacts, diagnose
    from ..tap.once import run_once

    if report is None and (in_the_way := held(state)) is not None:
        return (in_the_way,)
    wall, before = time.time_ns() // 1_000_000, checkup.written(state)
    store = checkup.stored(state, running=report is not None)
    if store is None:
        return (checkup.of_new_server(state),)
    reach = checkup.reach_of(state)
    links = [] if report is None or reach is None else checkup.addresses(reach)

    def look(reactor: Any) -> Coroutine[Any, Any, tuple[Any, ...]]:
        return checkup.answers(links, lambda host, port: probe_server(reactor, reactor, host, port, wall))

    return diagnose(
        RendezvousFacts(
            wall=wall,
            port=checkup.port_of(reach),
            store=store,
            report=report,
            taken=report is None and checkup.is_taken(reach),
            answers=run_once(look) if links else (),
            written=before,
            synchronized=checkup.is_synchronized(),
        )
    )
