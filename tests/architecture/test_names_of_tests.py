"""Names of tests are the same in every process that collects them: workers that disagree run nothing."""

import gzip

import pytest

from tests.conftest import pytest_make_parametrize_id


@pytest.mark.parametrize("content", [gzip.compress(b""), gzip.compress(b"", mtime=0)])
def test_packed_bytes_are_named_by_their_place(content: bytes, request: pytest.FixtureRequest) -> None:
    """The first of them holds the second in which it was collected."""
    assert request.node.name.partition("[")[2] == f"content{int(content[4:8] == bytes(4))}]"


@pytest.mark.parametrize("value", [b"\xff\xfe", b'{"id":"G0000001","ch4":1.25}', "a text of any length 水", 1])
def test_what_can_be_read_keeps_its_name(value: object) -> None:
    assert pytest_make_parametrize_id(value, "value") is None
