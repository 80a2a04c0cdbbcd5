"""MQTT 3.1.1 and 5.0 as a pure machine: bytes in, columns and bytes out.

No socket, no clock, no thread in here: time is an argument, the shell (``ingest.collector``) owns the rest.

    spec        the standards' numbers: packet types, reason codes, the property table
    wire        readers and writers of the standards' data types
    control     every packet that is not a PUBLISH
    publish     one PUBLISH the slow and strict way: says *what* is wrong, resolves topic aliases
    kernels     all PUBLISH packets of a buffer the fast way
    connection  the one class: states as a table, acknowledgements in order, keep-alive, limits
"""
