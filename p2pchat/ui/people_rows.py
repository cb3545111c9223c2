"""Rows of the table of commands: who is there, whom one keeps, who they really are."""

import re

from p2pchat import api
from p2pchat.core.errors import UsageError

from .actions import Action, Fingerprint
from .arguments import Row, named, nothing, person, whom, words_in


def _verify(rest: str, current: str | None) -> Action:
    found = re.fullmatch(r"(.*?)(?:^|\s)(yes|no)\s*", rest, re.IGNORECASE | re.DOTALL)
    if found is None:
        return api.SafetyNumber(who=whom(rest, current))
    return api.Verify(who=whom(found[1], current), verified=found[2].lower() == "yes")


def _trust(rest: str, current: str | None) -> Action:
    name = re.sub(r"(^|\s)--classical(?=\s|$)", " ", rest)
    return api.Trust(who=whom(name, current), classical=name != rest)


def _fingerprint(rest: str, current: str | None) -> Action:
    words = words_in(rest, 1)
    return Fingerprint(words[0].removeprefix("@") if words else None)


def _contacts(rest: str, current: str | None) -> Action:
    match words_in(rest, 3):
        case []:
            return api.Contacts()
        case ["add", identifier, *name]:
            return api.AddContact(id=identifier, name=name[0] if name else "")
        case ["remove", who]:
            return api.RemoveContact(who=who)
    raise UsageError("that is not understood")


PEOPLE_ROWS: tuple[Row, ...] = (
    Row(
        "list",
        "",
        "who is online, and which contacts are not",
        nothing(api.ListPeople()),
        ("who", "names"),
        topic="people",
        example="/list",
        common=True,
    ),
    Row(
        "contacts",
        "[add ID [NAME] | remove NAME]",
        "whom you keep; their requests are accepted",
        _contacts,
        topic="people",
        example="/contacts add 668e-t6hd-... carol",
    ),
    Row(
        "whois",
        "[NAME]",
        "what is known about somebody",
        person(lambda who: api.WhoIs(who=who)),
        (),
        ("person",),
        topic="people",
        example="/whois bob",
    ),
    Row(
        "whoami",
        "",
        "who you are, and where you can be reached",
        nothing(api.WhoAmI()),
        topic="people",
        example="/whoami",
    ),
    Row(
        "fingerprint",
        "[NAME]",
        "a whole id; without NAME your own",
        _fingerprint,
        completes=("person",),
        topic="people",
        example="/fingerprint bob",
    ),
    Row(
        "verify",
        "[NAME] [yes|no]",
        "the digits to compare; yes: they are the same, no: take it back",
        _verify,
        completes=("person",),
        topic="people",
        example="/verify bob yes",
        common=True,
    ),
    Row(
        "trust",
        "[NAME] [--classical]",
        "keep as a contact; --classical: even without post-quantum keys",
        _trust,
        completes=("person",),
        topic="people",
        example="/trust bob",
    ),
    Row(
        "untrust",
        "[NAME]",
        "keep no longer: take back contact, verification and --classical; their key and the chat stay",
        person(lambda who: api.RemoveContact(who=who)),
        completes=("person",),
        topic="people",
        example="/untrust bob",
    ),
    Row(
        "block",
        "NAME",
        "refuse somebody from now on, without telling them",
        named(lambda who: api.Block(who=who)),
        ("ignore",),
        ("person",),
        topic="people",
        example="/block mallory",
    ),
    Row(
        "unblock",
        "NAME",
        "refuse them no longer",
        named(lambda who: api.Unblock(who=who)),
        (),
        ("person",),
        topic="people",
        example="/unblock mallory",
    ),
)
