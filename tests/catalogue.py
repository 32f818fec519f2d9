"""The rules' public names, each with the severity of its usual finding.

The names stand in reports, suppressions and graders' configurations: they never change meaning.
"""

ERROR, WARNING, NOTE = "error", "warning", "note"

SEVERITY = {
    # Pipes
    "pipe-no-eof": ERROR,
    "pipe-unused-end": WARNING,
    "pipe-broken": ERROR,
    "pipe-wrong-end": ERROR,
    "pipe-full-deadlock": ERROR,
    "pipe-data-lost": WARNING,
    # Deadlock
    "ipc-deadlock": ERROR,
    # stdio against descriptors
    "stdio-fd-mix": ERROR,
    "stdio-fork-duplicate": ERROR,
    "stdio-lost-output": WARNING,
    "stdio-close-mismatch": WARNING,
    # Descriptors
    "fd-leak": WARNING,
    "fd-double-close": ERROR,
    "fd-use-after-close": ERROR,
    "fd-not-open": ERROR,
    "fd-unchecked-error": ERROR,
    "fd-exhausted": ERROR,
    "fd-exec-leak": WARNING,
    # Sockets
    "socket-conn-leak": ERROR,
    "socket-listener-in-child": WARNING,
    "socket-wrong-state": ERROR,
    "socket-addr-in-use": WARNING,
    "socket-byte-order": WARNING,
    "socket-reset": WARNING,
    "socket-serial-server": NOTE,
    "socket-unbounded-threads": NOTE,
    # Processes
    "process-zombie": WARNING,
    "process-child-fallthrough": ERROR,
    "process-fork-threads": WARNING,
    # Input and output
    "io-short-count": ERROR,
    "io-unchecked-result": ERROR,
    "io-read-past-eof": WARNING,
    "io-eintr": WARNING,
    "io-seek-on-stream": ERROR,
    "io-busy-wait": WARNING,
    # Protocols
    "protocol-violation": ERROR,
    "protocol-incomplete": WARNING,
}
