"""The engine room: followers on their threads, recovery, status, and the flow that ties them to the log."""
