"""Campaigns and disks as fixtures; a zygote for the whole session."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.crash import figures
from tests.crash.campaign import Campaign, Zygote
from tests.crash.disks import LoopDisk


@pytest.fixture(scope="session")
def zygote(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Zygote]:
    made = Zygote(tmp_path_factory.mktemp("zygote"))
    yield made
    made.close()


@pytest.fixture
def loop_disk(tmp_path: Path) -> Iterator[Callable[..., LoopDisk]]:
    made: list[LoopDisk] = []

    def make(**options: Any) -> LoopDisk:
        made.append(LoopDisk(tmp_path / f"loop{len(made)}", **options))
        return made[-1]

    yield make
    for disk in made:
        disk.close()


@pytest.fixture
def campaign(zygote: Zygote, loop_disk: Callable[..., LoopDisk], tmp_path: Path) -> Iterator[Callable[..., Campaign]]:
    """Make campaigns; victims end before their disks are unmounted."""
    made: list[Campaign] = []

    def make(**options: Any) -> Campaign:
        options.setdefault("seed", seed_of_run())
        made.append(Campaign(zygote, tmp_path / f"campaign{len(made)}", **options))
        return made[-1]

    yield make
    for one in made:
        one.close()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The front page's figures."""
    if lines := figures.table():
        terminalreporter.section("crash suite")
        for line in lines:
            terminalreporter.write_line(line)


def seed_of_run() -> int:
    """A fresh seed; LIFELINE_SEED repeats a run. Printed with every figure."""
    given = os.environ.get("LIFELINE_SEED")
    return int(given) if given else random.SystemRandom().randrange(1 << 32)
