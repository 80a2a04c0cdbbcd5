"""A typed Python client of the HTTP API (``/api/v1``).

    from lifeline.client import Lifeline

    with Lifeline("https://lifeline.example", token=os.environ["LIFELINE_TOKEN"]) as city:
        for event in city.events(status="open", level="red"):
            city.act(event["event_id"], "file", note="confirmed by phone", version=event["version"])

Thin: rows are dictionaries as they come over the wire, times are epoch milliseconds, pages are
iterated, errors are exceptions that carry the problem. Depends on httpx alone.
"""

from lifeline.client.client import Change, Lifeline
from lifeline.client.errors import ApiError, ChangedError, NotAllowedError, NotFoundError, TooFastError

__all__ = ["ApiError", "Change", "ChangedError", "Lifeline", "NotAllowedError", "NotFoundError", "TooFastError"]
