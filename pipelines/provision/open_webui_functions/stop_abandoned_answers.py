"""
title: Stop abandoned answers
description: Ends an answer whose reader has closed the chat, so that the model is free for the next one.
version: 1.0.0
required_open_webui_version: 0.12.4
"""

# Runs inside Open WebUI, which goes on writing an answer after its tab was closed (seen in 0.12.4: no part of it
# listens for the tab's end). SESSION_POOL, the open tabs by their socket's id, is not a public interface of Open
# WebUI: the end-to-end tests close, reload and stop a real tab on the pinned version.

import asyncio

from open_webui.socket.main import SESSION_POOL
from pydantic import BaseModel, Field


class Filter:
    class Valves(BaseModel):
        grace_s: float = Field(
            default=4, description="A tab that comes back within this time finds its answer going on"
        )
        look_every_s: float = 0.5

    def __init__(self):
        self.valves = self.Valves()

    async def inlet(self, body, __metadata__=None):
        metadata = __metadata__ or {}
        session_id, chat_id = metadata.get("session_id"), metadata.get("chat_id")
        tab = session_id and chat_id and SESSION_POOL.get(session_id)
        # a caller of the API may name a session of its own making: it has no tab that could be closed
        if tab:
            # Open WebUI runs each answer as one task, this call included; its Stop button cancels the same one
            answer = asyncio.current_task()
            watch = asyncio.create_task(self._watch(answer, session_id, chat_id, tab["id"]))
            answer.add_done_callback(lambda _: watch.cancel())
        return body

    async def _watch(self, answer, session_id, chat_id, user_id):
        away_s = 0.0
        while away_s < self.valves.grace_s:
            await asyncio.sleep(self.valves.look_every_s)
            away_s = 0.0 if _is_open(session_id, chat_id, user_id) else away_s + self.valves.look_every_s
        answer.cancel()


def _is_open(session_id, chat_id, user_id):
    if session_id in SESSION_POOL:
        return True
    return any(
        session and session.get("id") == user_id and chat_id in (session.get("chat_ids") or [])
        for _, session in list(SESSION_POOL.items())
    )
