"""The roof: wires concrete parts into a running site, and gives every command its verb.

One module a command. ``assembly`` is the only place where real log, lake, queue, rules and collectors are chosen.
"""
