"""A doctor at the prompt: asked, and waited for while the person goes on."""

from collections.abc import Callable

from twisted.logger import Logger
from twisted.python.failure import Failure

from p2pchat import api
from p2pchat.core.errors import UserError

from .findings import finding_lines

_log = Logger()


def examine(held: api.Api, say: Callable[..., None]) -> None:
    """Ask the doctor, who takes some seconds, in which the person goes on; `say` shows notes."""

    def found(reply: api.Reply) -> None:
        if isinstance(reply, api.Findings):
            say(*finding_lines(reply.findings))

    def failed(failure: Failure) -> None:
        if failure.check(UserError):
            say(failure.getErrorMessage())
        else:
            _log.failure("the doctor failed", failure)
            say("the doctor failed; the log says more")

    say("looking at servers, ports, links and the store ...")
    held.execute(api.Examine()).addCallback(found).addErrback(failed)
