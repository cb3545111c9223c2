"""`p2pchat contact`: over the peer's socket where one runs, otherwise in its store."""

from argparse import Namespace
from collections.abc import Sequence

from ..api import AddContact, Contacts, Done, People, Person, RemoveContact
from ..core.errors import NotRunning
from ..core.text import Kind, clean
from ..ui.tables import contact_table
from .output import client_of, print_json, print_line, print_lines, state_of


def add(options: Namespace) -> None:
    """Keep an id as a contact."""
    people: Sequence[Person]
    try:
        with client_of(options, "peer") as peer:
            people = peer.call(AddContact(id=options.id, name=options.name), People).people
    except NotRunning:
        from ..peer.offline import add_contact

        people = [add_contact(state_of(options, "peer"), options.id, options.name)]
    print_lines(f"{clean(person.name, Kind.NAME)} is a contact" for person in people)


def show(options: Namespace) -> None:
    """The contacts."""
    people: Sequence[Person]
    try:
        with client_of(options, "peer") as peer:
            people = peer.call(Contacts(), People).people
    except NotRunning:
        from ..peer.offline import list_contacts

        people = list_contacts(state_of(options, "peer"))
    if options.json:
        print_json(people)
    else:
        print_lines(contact_table(people))


def remove(options: Namespace) -> None:
    """Keep somebody no longer."""
    try:
        with client_of(options, "peer") as peer:
            peer.call(RemoveContact(who=options.who), Done)
    except NotRunning:
        from ..peer.offline import remove_contact

        remove_contact(state_of(options, "peer"), options.who)
    print_line(f"{clean(options.who, Kind.LINE)} is no contact any more")
