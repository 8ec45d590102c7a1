"""One drill: a stack, a crowd with staff, and one fault after the other. Importing this needs Django to be set up."""

import random
import time
from collections.abc import Callable, Sequence
from functools import partial
from itertools import cycle

import httpx

from apps.concerts.publication import publish_concert, withdraw_concert
from apps.ops.invariants import check_invariants
from apps.queue.models import WaitingRoom
from dev.api import Kind
from dev.demo.loadtest import prepare_load_test
from dev.drill.customers import ANSWER_TIMEOUT, Customer
from dev.drill.deliveries import (
    deliver_again,
    find_delivery_breaches,
    messages_told,
    told_again,
)
from dev.drill.desk import Desk
from dev.drill.faults import FAULTS, AimMissed, PlannedFault, Scene
from dev.drill.history import Call, History
from dev.drill.house import Hall, category_nobody_sells, employ, prepare_hall
from dev.drill.painting import keep_back_and_release
from dev.drill.recovery import PATIENCE, Crowd, Watch, are_all_delivered, with_fresh_session
from dev.drill.refunds import KeptSeats
from dev.drill.report import Row, seconds_of_sales
from dev.drill.settle import settle
from dev.drill.stack import DrillStack
from dev.drill.staff import Clerk
from dev.drill.verdict import find_breaches, holds_between

SEATS = 200
PERFORMANCES_PER_FAULT = 2
SEATS_PER_CUSTOMER = 10
PRICES = (50_000, 60_000)  # won
LOOK_SECONDS = 0.2
FROZEN_SALE_SECONDS = 2.0  # the longest that a committed sale may take while the broker is frozen


class Drill:
    """`stack` runs; `on_progress` is told what is being done."""

    def __init__(
        self,
        *,
        stack: DrillStack,
        plan: Sequence[PlannedFault],
        customers: int,
        staff: int,
        on_progress: Callable[[str], None],
    ) -> None:
        self.history = History()
        self._stack = stack
        self._plan = plan
        self._say = on_progress
        self._known: set[str] = set()
        self._may_repeat: set[str] = set()
        demo = prepare_load_test(
            customers=customers + 1,
            seats=SEATS,
            capacity=customers + 1,
            seats_per_customer=SEATS_PER_CUSTOMER,
            performances=len(plan) * PERFORMANCES_PER_FAULT,
        )
        self._concert_id = demo.concert_id
        self._halls = [
            # Not the same for both dates, so that a move has a difference in price.
            prepare_hall(performance_id, price=price)
            for performance_id, price in zip(demo.performance_ids, cycle(PRICES), strict=False)
        ]
        self._customers = {
            customer.user_id: Customer(
                user_id=customer.user_id,
                access_token=customer.access_token,
                concert_id=demo.concert_id,
                client=self._client(),
                history=self.history,
            )
            for customer in demo.customers
        }
        # The last one buys alone, to see whether that works again.
        *self._crowd, self._prober = self._customers.values()
        aside = category_nobody_sells()
        room_id = WaitingRoom.objects.get(concert=demo.concert_id).pk
        *clerks, (refunder, _) = employ(staff + 1)
        self._clerks = [
            Clerk(
                user_id=user.pk,
                desk=Desk(self._client(), email=user.email, password=password),
                history=self.history,
                room_id=room_id,
                accounts={customer.user_id: customer.email for customer in demo.customers[:-1]},
                aside=aside,
                number=number,
                clerks=staff,
            )
            for number, (user, password) in enumerate(clerks)
        ]
        for clerk in self._clerks:
            clerk.desk.log_in()
        # Refunds by the thousand are of an account of their own, whose acts no clerk repeats.
        self._refunder_id = refunder.pk
        self._staff_ids = [*(clerk.user_id for clerk in self._clerks), refunder.pk]
        people: list[Customer | Clerk] = [*self._customers.values(), *self._clerks]
        self._people = {person.user_id: person for person in people}

    def _client(self) -> httpx.Client:
        return httpx.Client(base_url=self._stack.environment["BASE_URL"], timeout=ANSWER_TIMEOUT)

    def _set_published(self, is_published: bool) -> None:
        change = publish_concert if is_published else withdraw_concert
        change(concert_id=self._concert_id, actor="drill", reason="A fault is drilled.")

    def close(self) -> None:
        for person in self._people.values():
            person.close()

    def run_phase(self, number: int) -> Row:
        """Let customers shop and staff work, break something meanwhile, and see what has become of it all."""
        planned = self._plan[number]
        fault = FAULTS[planned.name]
        first = number * PERFORMANCES_PER_FAULT
        halls = self._halls[first : first + PERFORMANCES_PER_FAULT]
        dice = random.Random(planned.seed)
        scene = Scene(
            stack=self._stack,
            history=self.history,
            customer_ids=list(self._customers),
            performance_ids=[hall.performance_id for hall in halls],
            deliver_again=partial(with_fresh_session, deliver_again, dice),
            set_published=partial(with_fresh_session, self._set_published),
            holds_between=partial(with_fresh_session, holds_between),
            paint=lambda: [
                breach
                for hall in halls
                for breach in with_fresh_session(
                    keep_back_and_release, hall.performance_id, hall.others
                )
            ],
            sell_and_refund=KeptSeats(
                history=self.history, phase=planned.name, staff_id=self._refunder_id, halls=halls
            ).sell_and_refund,
        )
        self._stack.revived.clear()
        for person in self._people.values():
            person.enter(planned.name, planned.seed)
        self._say(fault.title)
        watch = self._break(scene, planned, halls)
        self._say(f"{fault.title}: recovering")
        while not watch.is_over:
            watch.look()
            self._stack.sleep(LOOK_SECONDS)
        watch.close()
        self._say(f"{fault.title}: asking again what is unknown")
        self._settle(planned.name)
        for clerk in self._clerks:
            clerk.tidy()
        self._settle(planned.name)
        calls = self.history.of_phase(planned.name)
        self._wait_for_deliveries()
        self._say(f"{fault.title}: comparing")
        breaches = [
            *watch.breaches(),
            *_missed_or_wrong(scene),
            *scene.breaches,
            *_slow_sales(scene, calls),
            *with_fresh_session(self._new_breaches, fault.may_repeat_messages),
        ]
        return Row.of(
            name=planned.name,
            title=fault.title,
            calls=calls,
            recovery=watch.seconds,
            revived=dict(self._stack.revived),
            breaches=breaches,
            figures=scene.figures,
        )

    def _settle(self, phase: str) -> None:
        """Settle what customers have asked for first: staff may pause the room once more."""
        calls = sorted(self.history.of_phase(phase), key=lambda call: call.kind is Kind.STAFF)
        settle(calls, self._people, sleep=self._stack.sleep)

    def _break(self, scene: Scene, planned: PlannedFault, halls: Sequence[Hall]) -> Watch:
        """One phase of shopping with a fault in it; the watch has begun at the fault's end."""
        ends_at = time.monotonic() + planned.load_seconds
        people = [
            *(partial(customer.shop, scene.performance_ids) for customer in self._crowd),
            *(partial(clerk.work, halls) for clerk in self._clerks),
        ]
        with Crowd(people):
            self._stack.sleep(planned.begins_after)
            try:
                FAULTS[planned.name].inject(scene, planned)
            except AimMissed as miss:
                scene.missed = str(miss)
            watch = Watch(prober=self._prober, performance_id=scene.performance_ids[0])
            # Some faults take as long as they need; customers see in any case that it is over.
            ends_at = max(ends_at, time.monotonic() + planned.load_seconds / 4)
            while time.monotonic() < ends_at:
                watch.look()
                self._stack.sleep(LOOK_SECONDS)
        return watch

    def _wait_for_deliveries(self) -> None:
        """Settle what is left of the calls after the fault; what does not come is a breach."""
        give_up_at = time.monotonic() + PATIENCE
        while not are_all_delivered() and time.monotonic() < give_up_at:
            self._stack.sleep(LOOK_SECONDS)

    def _new_breaches(self, may_repeat_messages: bool) -> list[str]:
        """Everything is compared after every fault; what was found before is not told again."""
        told = messages_told(self._stack.child("receiver").log_path)
        if may_repeat_messages:
            self._may_repeat |= told_again(told)
        invariants = [
            f"{invariant.name}, {invariant.breaches} times: {'; '.join(invariant.examples)}"
            for invariant in check_invariants()
            if invariant.breaches
        ]
        found = [
            *find_breaches(
                self.history.calls,
                staff_ids=self._staff_ids,
                kept={
                    seat: category for hall in self._halls for seat, category in hall.kept.items()
                },
            ),
            *find_delivery_breaches(told, may_repeat=self._may_repeat),
            *invariants,
        ]
        new = [breach for breach in found if breach not in self._known]
        self._known.update(new)
        return new


def _missed_or_wrong(scene: Scene) -> list[str]:
    """Count what became of the calls that were cut off before or after their commit."""
    missed = [scene.missed] if scene.missed else []
    missed += [f"it had its answer: {hit.call}" for hit in scene.hits if not hit.call.was_unknown]
    return [f"the drill missed its aim: {reason}" for reason in missed] + [
        f"cut off {'after' if hit.is_committed else 'before'} its commit, but it had "
        f"{'not ' if hit.is_committed else ''}happened: {hit.call}"
        for hit in scene.hits
        if hit.is_contradicted
    ]


def _slow_sales(scene: Scene, calls: Sequence[Call]) -> list[str]:
    if scene.frozen is None:
        return []
    seconds = seconds_of_sales(calls, within=scene.frozen)
    if not seconds:
        return ["the drill missed its aim: nothing was sold while the broker was frozen"]
    return [
        f"a sale took {spent:.2f} s while the broker was frozen"
        for spent in seconds
        if spent >= FROZEN_SALE_SECONDS
    ]
