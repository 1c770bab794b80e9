"""The pages of an app in this process."""

from __future__ import annotations

from collections.abc import Callable

import httpx
import pytest


@pytest.fixture
def look(http: httpx.AsyncClient) -> Callable[..., object]:
    """Get a page that has to be there, as text."""

    async def look(path: str, **query: str) -> str:
        answer = await http.get(f"/ui/{path}", params=query)
        assert answer.status_code == 200, answer.text
        return answer.text

    return look


@pytest.fixture
def press(http: httpx.AsyncClient) -> Callable[..., object]:
    """Send the form of a page; gives the page that it leads to."""

    async def press(path: str, **fields: str) -> httpx.Response:
        answer = await http.post(f"/ui/{path}", data=fields)
        assert answer.status_code == 303, answer.text
        return await http.get(answer.headers["location"])

    return press
