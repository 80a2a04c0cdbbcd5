"""Fixtures of the simulator's tests: small fleets, a real Mosquitto."""

from __future__ import annotations

import shutil
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from simulators.fleet import Fleet, FleetSettings
from simulators.fleet_build import build_fleet
from tests.conftest import free_port, listens, missing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture(scope="session")
def small_fleet() -> Fleet:
    """Two thousand devices, each 10 s."""
    return build_fleet(FleetSettings(sensors=2000, interval_s=10.0, gateway_devices=20))


@pytest.fixture(scope="session")
def native_fleet() -> Fleet:
    """Three thousand devices with their own intervals."""
    return build_fleet(FleetSettings(sensors=3000))


@pytest.fixture
def mosquitto(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Starts a real Mosquitto on a port and returns once it answers; all are stopped at the end."""
    program = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin")
    if program is None:
        missing("needs the program mosquitto (Debian package mosquitto)")
    started: list[subprocess.Popen[bytes]] = []

    def start(port: int, more: str = "") -> subprocess.Popen[bytes]:
        config = tmp_path / f"mosquitto-{port}.conf"
        limits = "max_inflight_messages 0\nmax_queued_messages 0\n"  # none: what is sent is acknowledged and passed on
        config.write_text(f"user root\nlistener {port} 127.0.0.1\nallow_anonymous true\n{limits}{more}")
        process = subprocess.Popen([program, "-c", str(config)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        started.append(process)
        deadline = time.monotonic() + 10
        while not listens(port):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.02)
        return process

    yield start
    for process in started:
        process.terminate()
        process.wait(10)


@pytest.fixture(name="free_port")
def _free_port() -> int:
    return free_port()
