"""Whom we let in: pure decisions about requests, key agreement, and room."""

from itertools import product

from hypothesis import given, strategies as st
from twisted.trial.unittest import SynchronousTestCase

from p2pchat.core.trust import (
    MAX_REQUESTS,
    MAX_REQUESTS_PER_ADDRESS,
    Answer,
    Facts,
    Policy,
    Scope,
    accepted_scope,
    has_room,
    judge_request,
    may_come_back,
)

SCOPES = (None, *Scope)


class RequestTests(SynchronousTestCase):
    def test_blocked(self) -> None:
        """Whoever is blocked is refused, whatever else stands or is allowed."""
        for consent, policy in product(SCOPES, Policy):
            self.assertIs(judge_request(Facts(blocked=True, consent=consent), policy), Answer.REJECT)

    def test_consent_stands(self) -> None:
        """Where consent stands nobody is asked, under any policy."""
        for scope, policy in product(Scope, Policy):
            self.assertIs(judge_request(Facts(consent=scope), policy), Answer.ACCEPT)

    def test_policies(self) -> None:
        """Without consent the person is asked, the request refused, or accepted, as `--accept` says."""
        answers = {policy: judge_request(Facts(), policy) for policy in Policy}
        self.assertEqual(answers, {Policy.ASK: Answer.ASK, Policy.CONTACTS: Answer.REJECT, Policy.ALL: Answer.ACCEPT})

    def test_accepted_scope(self) -> None:
        """What stands is what the other side is told; who lets everybody in does so always."""
        for scope, policy in product(Scope, Policy):
            self.assertIs(accepted_scope(Facts(consent=scope), policy), scope)
        self.assertIs(accepted_scope(Facts(), Policy.ALL), Scope.ALWAYS)


class KeyAgreementTests(SynchronousTestCase):
    def test_may_come_back(self) -> None:
        """Only a step back that the person has not allowed is refused."""
        for before, hybrid, allowed in product((False, True), repeat=3):
            facts = Facts(hybrid_before=before, classical_allowed=allowed)
            self.assertEqual(may_come_back(facts, hybrid), hybrid or allowed or not before)


class RoomTests(SynchronousTestCase):
    @given(st.integers(0, 40), st.integers(0, 40))
    def test_has_room(self, waiting: int, of_address: int) -> None:
        """A request is kept while fewer than the limits wait, in all and of its address."""
        of_address = min(of_address, waiting)
        room = waiting < MAX_REQUESTS and of_address < MAX_REQUESTS_PER_ADDRESS
        self.assertEqual(has_room(waiting, of_address), room)
