"""What a doctor found, in lines."""

from collections.abc import Iterable

from p2pchat import api
from p2pchat.core.text import Kind, clean

WORDS = {"ok": "ok", "warning": "warning", "failed": "FAILED", "unknown": "unknown"}
"""How each state is written: a failure is found at a glance, without colour."""

STATE_WIDTH = max(map(len, WORDS.values()))


def finding_lines(findings: Iterable[api.Finding]) -> list[str]:
    """A line for each finding, and one below it for what to do."""
    found = list(findings)
    width = max((len(finding.check) for finding in found), default=0)
    lines: list[str] = []
    for finding in found:
        state = WORDS.get(finding.state, clean(finding.state, Kind.NAME))
        check = clean(finding.check, Kind.NAME)
        lines.append(f"{state:<{STATE_WIDTH}}  {check:<{width}}  {clean(finding.text, Kind.LINE)}")
        if finding.fix:
            lines.append(f"{'':<{STATE_WIDTH + width + 4}}fix: {clean(finding.fix, Kind.LINE)}")
    return lines
