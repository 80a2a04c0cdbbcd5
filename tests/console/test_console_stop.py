"""Stopping the console while somebody watches."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Any

import httpx

from lifeline.console.server import STOP_S, bind, make_server

if TYPE_CHECKING:
    import pytest


def test_a_stop_ends_open_streams_instead_of_waiting_for_them(client: Any, caplog: pytest.LogCaptureFixture) -> None:
    server = make_server(client.app, on_stop=client.app.state.lifeline.feed.close)
    with bind("127.0.0.1", 0) as sock, caplog.at_level(logging.WARNING):
        thread = threading.Thread(target=server.run, kwargs={"sockets": [sock]})
        thread.start()
        address = f"http://127.0.0.1:{sock.getsockname()[1]}"
        headers = {"Authorization": f"Bearer {client.town.tokens['viewer']}"}
        with httpx.stream("GET", f"{address}/api/v1/stream", headers=headers, timeout=20) as answer:
            lines = answer.iter_lines()

            assert answer.status_code == 200
            assert next(lines) == ": lifeline"

            server.should_exit = True
            for _ in lines:
                pass
        thread.join(STOP_S * 5)

    assert not thread.is_alive()
    assert [record.getMessage() for record in caplog.records if "Cancel" in record.getMessage()] == []
