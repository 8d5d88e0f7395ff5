"""holder.py -- listening sockets that outlive the programs behind them, as systemd's .socket units do.

    hold(agent, http="stream", udp="datagram")

From then on every start of that program gets the sockets by the activation protocol: descriptors from
3 on, LISTEN_FDS, LISTEN_FDNAMES, and LISTEN_PID, which must be the program's own and is therefore set
by the shell that becomes it.
"""

import fcntl
import socket

KINDS = {"stream": socket.SOCK_STREAM, "datagram": socket.SOCK_DGRAM}
HIGH = 200  # descriptors that are passed on stand above those that the shell puts them at
BECOME = """
at=3; for fd in $1; do eval "exec $at<&$fd $fd<&-"; at=$((at + 1)); done
export LISTEN_FDS=$((at - 3)) LISTEN_FDNAMES=$2 LISTEN_PID=$$
shift 2; exec "$@"
"""


def open_socket(kind):
    held = socket.socket(socket.AF_INET, KINDS[kind])
    if kind == "datagram":
        held.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 << 20)
    held.bind(("127.0.0.1", 0))
    if kind == "stream":
        held.listen(4096)
    return held


def hold(program, **sockets):
    """Name -> kind. Returns the sockets by name, to be closed by the caller."""
    held = {name: open_socket(kind) for name, kind in sockets.items()}
    high = [fcntl.fcntl(s.fileno(), fcntl.F_DUPFD_CLOEXEC, HIGH) for s in held.values()]
    plain = program.command

    def command(subcommand, *more):
        line = plain(subcommand, *more)
        if subcommand != "run":
            return line
        return ["bash", "-c", BECOME, "become", " ".join(map(str, high)), ":".join(held), *line]

    program.command = command
    program.pass_fds = high
    return held
