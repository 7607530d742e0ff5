"""Runs llama-server and drains it on SIGTERM: `drain.py PORT STATUS_PORT SECONDS COMMAND…`.

llama-server drops its running requests as soon as it receives SIGTERM. So this process sends it
only when llama-server is idle, when its requests make no progress, or after SECONDS. Until then
llama-server serves on, and STATUS_PORT answers `draining`, so that the gateway sends new requests
to other replicas. When llama-server exits, this process exits with the same code.

It runs as long as llama-server does: it imports little, and runs as a script of a Python without
site packages, which needs a few megabytes of memory.
"""

import os
import signal
import socket
import sys
import threading
import time

CANNOT_START = 18
"""`ExitCode.CANNOT_START` of failure.py, which is not imported here."""

NOTICE_SECONDS = 2.0
"""The gateway polls the status every second; after this time it sends no new requests."""
POLL_SECONDS = 0.25
IDLE_POLLS = 2
"""llama-server counts as idle after so many idle polls in a row: a request may be on its way."""
STALLED_SECONDS = 60.0
"""Requests without progress for so long are dropped; one batch of a long prompt shows none."""
REQUEST_SECONDS = 2.0
KILL_SECONDS = 3.0
"""An idle llama-server exits at once. A busy one never does: it waits for its clients."""

STOP_SIGNALS = {signal.SIGTERM, signal.SIGINT}
FORWARDED_SIGNALS = {signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2}
HANDLED_SIGNALS = {signal.SIGCHLD, *STOP_SIGNALS, *FORWARDED_SIGNALS}


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
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
                with connection:
                    self._respond(connection)
            except OSError:
                # A client disconnected, or too many files are open: go on with the next one.
                time.sleep(POLL_SECONDS)

    def _respond(self, connection: socket.socket) -> None:
        connection.settimeout(REQUEST_SECONDS)
        connection.recv(8192)
        body = f'{{"status": "{self.word}"}}'
        connection.sendall(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n"
            f"Content-Length: {len(body)}\r\n\r\n{body}".encode()
        )


def current_work(port: int) -> bytes | None:
    """llama-server's busy slots, in a form that changes with every token; None if it is idle.

    While it starts or loads its model, it is idle. So it is while it sleeps: then it answers
    `/props`, and a request for `/slots` would make it load its model again.
    """
    try:
        props = get(port, "/props")
        if b'"is_sleeping":true' in props:
            return None
        if b'"role":"router"' in props:
            return routed_work(port)
        slots = get(port, "/slots")
    except ConnectionRefusedError:
        return None
    except OSError:
        # It answers between two batches, and a batch of a long prompt takes long.
        return b"processing a batch"
    return slots if b'"is_processing":true' in slots else None


def routed_work(port: int) -> bytes | None:
    """The busy slots of a router's models; None if it is idle. Raises OSError.

    A model that is loading has a request that waits for it. One that sleeps would wake.
    """
    # Imported here, because only a router that stops needs it.
    import json

    work = []
    for model in json.loads(get(port, "/v1/models"))["data"]:
        state = model["status"]["value"]
        if state == "loading":
            work.append(b"loading")
        elif state == "loaded":
            slots = get(port, f"/slots?model={model['id']}&autoload=false")
            work += [slots] if b'"is_processing":true' in slots else []
    return b"".join(work) or None


def get(port: int, path: str) -> bytes:
    """The body of a response of llama-server, without spaces; raises OSError."""
    with socket.create_connection(("127.0.0.1", port), timeout=REQUEST_SECONDS) as connection:
        connection.sendall(f"GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n".encode())
        response = b""
        while chunk := connection.recv(65536):
            response += chunk
    return response.partition(b"\r\n\r\n")[2].replace(b" ", b"")


def exit_code(child: int) -> int | None:
    """The exit code of the child, as a shell would report it; None while it runs."""
    ended, state = os.waitpid(child, os.WNOHANG)
    if not ended:
        return None
    code = os.waitstatus_to_exitcode(state)
    return code if code >= 0 else 128 - code


def run(command: list[str], port: int, status: Status, drain_seconds: float) -> int:
    """Run llama-server until it exits; returns the exit code for the container."""
    signal.pthread_sigmask(signal.SIG_BLOCK, HANDLED_SIGNALS)
    try:
        child = os.posix_spawn(command[0], command, os.environ, setsigmask=())
    except OSError as error:
        log("error", f"llama-server cannot be started: {error.strerror}")
        return CANNOT_START
    status.start()
    while True:
        number = signal.sigwait(HANDLED_SIGNALS)
        if number == signal.SIGCHLD:
            if (code := exit_code(child)) is not None:
                return code
        elif number in STOP_SIGNALS:
            status.word = "draining"
            log("info", f"draining: stops when idle, or in {drain_seconds:g} s")
            return drain(child, port, drain_seconds)
        else:
            os.kill(child, number)


def drain(child: int, port: int, seconds: float) -> int:
    """Wait until llama-server is idle, and stop it; a second stop signal ends the wait."""
    started = progress_at = time.monotonic()
    idle_polls = 0
    before = None
    while idle_polls < IDLE_POLLS and time.monotonic() < started + seconds:
        received = signal.sigtimedwait(HANDLED_SIGNALS, POLL_SECONDS)
        if received and received.si_signo in STOP_SIGNALS:
            break
        if received and (code := exit_code(child)) is not None:
            return code
        if time.monotonic() < started + NOTICE_SECONDS:
            continue
        now = current_work(port)
        idle_polls = idle_polls + 1 if now is None else 0
        if now is None or now != before:
            before, progress_at = now, time.monotonic()
        elif time.monotonic() >= progress_at + STALLED_SECONDS:
            break
    state = "idle" if idle_polls == IDLE_POLLS else "still busy"
    log("info", f"stopping llama-server: {state} after {time.monotonic() - started:.1f} s")
    stop(child)
    return 0


def stop(child: int) -> None:
    """Send SIGTERM, and SIGKILL if the child has not exited soon after."""
    os.kill(child, signal.SIGTERM)
    kill_at = time.monotonic() + KILL_SECONDS
    while exit_code(child) is None:
        if time.monotonic() >= kill_at:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            break
        signal.sigtimedwait({signal.SIGCHLD}, POLL_SECONDS)


def log(level: str, message: str) -> None:
    """Write one line in the form of app/shared/json_log.py."""
    now = time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime())
    print(f'{{"time": "{now}", "level": "{level}", "message": "{message}"}}', flush=True)


def main(arguments: list[str]) -> int:
    port, status_port, seconds, *command = arguments
    try:
        status = Status(int(status_port))
    except OSError as error:
        log("error", f"port {status_port} cannot be opened: {error.strerror}")
        return CANNOT_START
    return run(command, int(port), status, float(seconds))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
