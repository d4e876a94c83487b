"""
title: Stop abandoned answers
description: Ends an answer whose reader has closed the chat, so that the model is free for the next one.
version: 1.0.0
required_open_webui_version: 0.12.4
"""

# Runs inside Open WebUI, which goes on writing an answer after its tab was closed (seen in 0.12.4: no part of it
# listens for the tab's end). The sessions and tasks it looks at are not a public interface of Open WebUI: whatever is
# not as expected leaves the answer running, as without this function. A test runs it on the pinned version.

import asyncio

from open_webui.socket.main import SESSION_POOL
from open_webui.tasks import list_task_ids_by_item_id, stop_item_tasks
from pydantic import BaseModel, Field


class Filter:
    class Valves(BaseModel):
        grace_s: float = Field(
            default=4, description="A tab that comes back within this time finds its answer going on"
        )
        look_every_s: float = 0.5

    def __init__(self):
        self.valves = self.Valves()
        self._watches = set()

    async def inlet(self, body, __metadata__=None, __request__=None, __user__=None):
        metadata = __metadata__ or {}
        if metadata.get("session_id") and metadata.get("chat_id") and __request__ and __user__:
            watch = asyncio.create_task(
                self._watch(__request__.app.state.redis, metadata["chat_id"], metadata["session_id"], __user__["id"])
            )
            self._watches.add(watch)
            watch.add_done_callback(self._watches.discard)
        return body

    async def _watch(self, redis, chat_id, session_id, user_id):
        away_s = 0.0
        while await list_task_ids_by_item_id(redis, chat_id):
            away_s = 0.0 if _is_open(chat_id, session_id, user_id) else away_s + self.valves.look_every_s
            if away_s >= self.valves.grace_s:
                await stop_item_tasks(redis, chat_id)
                return
            await asyncio.sleep(self.valves.look_every_s)


def _is_open(chat_id, session_id, user_id):
    if session_id in SESSION_POOL:
        return True
    return any(
        session and session.get("id") == user_id and chat_id in (session.get("chat_ids") or [])
        for _, session in list(SESSION_POOL.items())
    )
