"""Where we do not send: the guard against server-side request forgery.

A webhook's address is set by whoever may edit the configuration, its name is answered by somebody's DNS. So the name is
resolved here, every address it has must be a public one, and the connection goes to that very address: a second
answer (DNS rebinding) is never asked for. Redirects are not followed.
"""

from __future__ import annotations

import ipaddress
import socket
from typing import Final

from lifeline.core.errors import UnavailableError

_NAT64: Final = ipaddress.ip_network("64:ff9b::/96")


def is_public(address: str) -> bool:
    """Whether an IP address belongs to the open internet, looked at through every way of wrapping IPv4 in IPv6."""
    ip = ipaddress.ip_address(address)
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None)
        if inner is None and ip in _NAT64:
            inner = ipaddress.IPv4Address(int(ip) & 0xFFFF_FFFF)
        if inner is not None:
            return is_public(str(inner))
    return ip.is_global and not ip.is_multicast


def resolve(host: str, port: int, *, allow_private: bool) -> str:
    """An address of ``host`` to connect to.

    Raises:
        UnavailableError: the name has no address, or one that is not public (and ``allow_private`` is false).
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise UnavailableError(f"{host} has no address: {error}") from None
    addresses = [str(entry[4][0]).partition("%")[0] for entry in found]
    if not allow_private:
        private = [address for address in addresses if not is_public(address)]
        if private:
            raise UnavailableError(
                f"{host} is {private[0]}, an address inside a network; allow_private would permit it"
            )
    return addresses[0]
