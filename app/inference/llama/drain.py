"""Runs llama-server, and lets it end its answers before it ends: `drain.py PORT STATUS SECONDS …`.

llama-server drops what it is answering as soon as it gets SIGTERM. So it gets it only when it is
idle, when its answers stand still, or when SECONDS are over. Until then it serves on, and whoever
asks the port STATUS is told `draining`, so that its share of new requests goes elsewhere. Its own
end is the container's end, with its exit code.

This process stays beside the engine for as long as that runs: it imports little, and is run as a
script by a Python without its site packages, which keeps it at a few megabytes.
"""

import os
import signal
import socket
import sys
import threading
import time

CANNOT_START = 18
"""`ExitCode.NO_ENGINE` of failure.py, which is not imported here."""

NOTICE_SECONDS = 2.0
"""The gateway asks every second; after this, nobody who asks sends anything more."""
LOOK_SECONDS = 0.25
LOOKS = 2
"""A request may be on its way into a slot: idle is what was idle so many times in a row."""
STILL_SECONDS = 60.0
"""Answers without progress for so long are not waited for; one step of a long prompt shows none."""
ANSWER_SECONDS = 2.0
KILL_SECONDS = 3.0
"""An idle engine ends at once. One that still answers never does: it waits for its clients."""

ASKED_TO_STOP = {signal.SIGTERM, signal.SIGINT}
PASSED_ON = {signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2}
AWAITED = {signal.SIGCHLD, *ASKED_TO_STOP, *PASSED_ON}


class Status:
    """Answers `ok` or `draining` on a port, to any request."""

    def __init__(self, port: int, host: str = "0.0.0.0") -> None:
        self.word = "ok"
        self._listener = socket.create_server((host, port))

    @property
    def port(self) -> int:
        port: int = self._listener.getsockname()[1]
        return port

    def start(self) -> None:
        threading.Thread(target=self._answer_all, daemon=True).start()

    def _answer_all(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
                with connection:
                    self._answer(connection)
            except OSError:
                # Of a client that left, or of too many at once: the next one is another matter.
                time.sleep(LOOK_SECONDS)

    def _answer(self, connection: socket.socket) -> None:
        connection.settimeout(ANSWER_SECONDS)
        connection.recv(8192)
        body = f'{{"status": "{self.word}"}}'
        connection.sendall(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n"
            f"Content-Length: {len(body)}\r\n\r\n{body}".encode()
        )


def work(port: int) -> bytes | None:
    """What the engine does, in a form that changes with every token; None for nothing.

    One that does not listen yet, or loads its model, does nothing.
    """
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=ANSWER_SECONDS) as connection:
            connection.sendall(b"GET /slots HTTP/1.0\r\nHost: localhost\r\n\r\n")
            answer = b""
            while piece := connection.recv(65536):
                answer += piece
    except ConnectionRefusedError:
        return None
    except OSError:
        # It answers between two steps, and the step of a long prompt takes long.
        return b"a step"
    slots = answer.partition(b"\r\n\r\n")[2]
    return slots if b'"is_processing":true' in slots.replace(b" ", b"") else None


def exit_code(child: int) -> int | None:
    """The code with which the child ended, as a shell would tell it; None while it runs."""
    ended, state = os.waitpid(child, os.WNOHANG)
    if not ended:
        return None
    code = os.waitstatus_to_exitcode(state)
    return code if code >= 0 else 128 - code


def run(command: list[str], port: int, status: Status, drain_seconds: float) -> int:
    """Run the engine to its end, and give back the exit code for the container."""
    signal.pthread_sigmask(signal.SIG_BLOCK, AWAITED)
    try:
        child = os.posix_spawn(command[0], command, os.environ, setsigmask=())
    except OSError as error:
        say("error", f"llama-server cannot be started: {error.strerror}")
        return CANNOT_START
    status.start()
    while True:
        number = signal.sigwait(AWAITED)
        if number == signal.SIGCHLD:
            if (code := exit_code(child)) is not None:
                return code
        elif number in ASKED_TO_STOP:
            status.word = "draining"
            say("info", f"draining: ends when it is idle, or in {drain_seconds:g} s")
            return drained(child, port, drain_seconds)
        else:
            os.kill(child, number)


def drained(child: int, port: int, seconds: float) -> int:
    """Wait until the engine is idle, and stop it; a second wish to stop shortens the wait."""
    begun = moved_at = time.monotonic()
    looks = 0
    before = None
    while looks < LOOKS and time.monotonic() < begun + seconds:
        came = signal.sigtimedwait(AWAITED, LOOK_SECONDS)
        if came and came.si_signo in ASKED_TO_STOP:
            break
        if came and (code := exit_code(child)) is not None:
            return code
        if time.monotonic() < begun + NOTICE_SECONDS:
            continue
        now = work(port)
        looks = looks + 1 if now is None else 0
        if now is None or now != before:
            before, moved_at = now, time.monotonic()
        elif time.monotonic() >= moved_at + STILL_SECONDS:
            break
    idle = looks == LOOKS
    say("info", f"{'idle' if idle else 'still busy'}, ends after {time.monotonic() - begun:.1f} s")
    os.kill(child, signal.SIGTERM)
    killed_at = time.monotonic() + KILL_SECONDS
    while exit_code(child) is None:
        if time.monotonic() >= killed_at:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            break
        signal.sigtimedwait({signal.SIGCHLD}, LOOK_SECONDS)
    return 0


def say(level: str, message: str) -> None:
    """One line in the form of the program's log."""
    now = time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime())
    print(f'{{"time": "{now}", "level": "{level}", "message": "{message}"}}', flush=True)


def main(arguments: list[str]) -> int:
    port, status_port, seconds, *command = arguments
    try:
        status = Status(int(status_port))
    except OSError as error:
        say("error", f"port {status_port} cannot be opened: {error.strerror}")
        return CANNOT_START
    return run(command, int(port), status, float(seconds))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
