"""Requests in the background: they wait until no person does, and leave a slot free."""

from __future__ import annotations

import pytest

from app.chat.fleet.fair_queue import Share
from app.chat.openai.errors import ApiError
from tests.unit.chat.fleet.test_balancing import World

TITLE = Share("anna", background=True)
PERSON = Share("berta")


async def test_a_question_that_came_later_is_answered_first() -> None:
    world = World(replicas=1, slots=1)
    running = world.pool.enter((), share=PERSON)
    title = world.pool.enter((), share=TITLE)
    questions = [world.pool.enter((), share=share) for share in (PERSON, Share("anna"), PERSON)]
    assert title.position == 4
    for ticket in (running, *sorted(questions, key=lambda one: one.position)):
        assert not title.granted.done()
        ticket.leave()
    assert title.granted.done()


async def test_one_slot_stays_free_beside_requests_in_the_background() -> None:
    world = World(replicas=1, slots=3)
    titles = [world.pool.enter((), share=TITLE) for _ in range(3)]
    assert [title.granted.done() for title in titles] == [True, True, False]
    question = world.pool.enter((), share=PERSON)
    assert question.granted.done()
    titles[0].leave()
    assert not titles[2].granted.done(), "the free slot is the spare one"
    question.leave()
    assert titles[2].granted.done()


async def test_a_full_queue_loses_a_request_in_the_background_first() -> None:
    world = World(replicas=1, slots=1, queue=2)
    world.pool.enter((), share=PERSON)
    title = world.pool.enter((), share=TITLE)
    waiting = world.pool.enter((), share=PERSON)
    with pytest.raises(ApiError, match="busy"):
        world.pool.enter((), share=TITLE)
    second = world.pool.enter((), share=PERSON)
    assert isinstance(title.granted.exception(), ApiError)
    assert not waiting.granted.done()
    assert not second.granted.done()
