"""What leaves the house: from the outbox to webhooks, MQTT, Alertmanager receivers and CAP; and commands to devices.

    act, alarm ──► Books ──► outbox (same transaction) ──┬─► Worker "city"   ──► webhook: CloudEvents, signed
                                                         ├─► Worker "bus"    ──► MQTT: CloudEvents, a topic per area
                                                         └─► Worker "warner" ──► CAP 1.2

``outbox`` the table's statements, ``worker`` one thread a sink with its position, back-off and giving up; ``envelope``,
``alertmanager`` and ``cap`` say what is sent (pure); ``web`` and ``bus`` send it; ``signing`` and ``guard`` are how
the web sender proves who it is and where it does not go.
"""
