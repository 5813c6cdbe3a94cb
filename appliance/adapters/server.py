"""A Unix socket that many clients may speak to, bounded on every side (SR-62 to SR-64).

Generic over its methods: ``pumpd`` and ``pump-keeper`` both use it. One asyncio loop, in a thread
of its own. It parses, authorises by the peer's uid and bounds; what a method means is the
handler's.
"""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import socket
import stat
import struct
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeAlias, cast

from pydantic import BaseModel, ValidationError

from appliance.adapters.lean import without
from appliance.client import wire
from appliance.client.messages import HelloParams, Method, Nothing, Role, reasons_of
from appliance.client.wire import Code
from appliance.errors import AlreadyRunning, ProtocolFault

with without("ssl"):  # the sockets here are the machine's own, and TLS is 4 MiB
    import asyncio

__all__ = [
    "ALL_ROLES",
    "Answer",
    "Done",
    "Failed",
    "Handler",
    "Method",
    "Nothing",
    "Refused",
    "Role",
    "Server",
    "Unknown",
    "roles_by_uid",
]

ALL_ROLES = frozenset(Role)
_LOG = logging.getLogger("benchpump.server")
_NS_PER_S = 1_000_000_000
_NS_PER_MS = 1_000_000
_BACKLOG = 16
_FLOOD = 100  # requests over the rate, one after the other, that end a connection
_QUEUED_BYTES = 4 * wire.REPLY_BYTES
_HIGH_WATER_BYTES = 65_536
_NOTES_PER_S = 5
_KEPT_PLACES = 2
_NOTES_BURST_NS = 2 * _NS_PER_S
_LEAVE_S = 1.0
_JOIN_S = 5.0


@dataclass(frozen=True, slots=True)
class Done:
    """It was done, or here is what was asked for."""

    result: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Refused:
    """It was not done; each reason has code and text, and field, value, range where they fit."""

    reasons: Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Unknown:
    """Whether it was done is not known: the client looks it up by its id."""

    text: str


@dataclass(frozen=True, slots=True)
class Failed:
    """A fault of our own; ``code`` is its code in the tree of errors."""

    code: str
    text: str


Answer: TypeAlias = Done | Refused | Unknown | Failed


class Handler(Protocol):
    """What the methods mean. All three are called on the server's thread and must not block."""

    def request(
        self,
        connection: int,
        uid: int,
        method: str,
        params: BaseModel,
        answer: Callable[[Answer], None],
    ) -> None:
        """Take a request that was parsed and allowed; ``answer`` once, from any thread."""
        ...

    def urgent(self, connection: int, uid: int, method: str, params: BaseModel) -> None:
        """Act on an urgent method at once; ``request`` follows with the same, for the answer."""
        ...

    def gone(self, connection: int) -> None:
        """Learn that a client can say nothing more. Once for each that said hello."""
        ...


def roles_by_uid(
    users: Mapping[Role, Collection[int]], owner: int | None = None
) -> Callable[[int], frozenset[str]]:
    """Return the rule: root and ``owner`` have every role, others what ``users`` says.

    ``users`` has the uids of each role; a role that is not in it (bench, on a real pump) nobody
    has, nor root. ``owner`` is the uid that started a demo.
    """
    every = frozenset(role.value for role in users)

    def roles(uid: int) -> frozenset[str]:
        if uid == 0 or uid == owner:
            return every
        return frozenset(role.value for role, uids in users.items() if uid in uids)

    return roles


class Server:
    """One socket. ``start`` and ``close`` belong to one thread; ``publish`` may be called from any.

    ``now_ns`` is a real monotonic clock (the rate of requests knows no ``--speed``). ``hello``
    returns what the hello's answer says besides protocol and roles: pump, version, speed, bench,
    utc_ns. ``died`` is called, on the server's thread, with the first error that is a bug: it ends
    the program.
    """

    def __init__(
        self,
        path: Path,
        methods: Sequence[Method],
        *,
        roles: Callable[[int], frozenset[str]],
        handler: Handler,
        now_ns: Callable[[], int],
        hello: Callable[[], Mapping[str, Any]],
        died: Callable[[BaseException], None],
        mode: int = 0o660,
        clients: int = wire.CLIENTS,
        requests_per_s: int = wire.REQUESTS_PER_S,
        line_s: float = wire.LINE_S,
        slow_reader_s: float = wire.LINE_S,
    ) -> None:
        self.path = path
        self._mode = mode
        self._desk = _Desk(
            name=path.name,
            methods={method.name: method for method in methods},
            roles=roles,
            handler=handler,
            now_ns=now_ns,
            hello=hello,
            died=died,
            clients=clients,
            interval_ns=_NS_PER_S // requests_per_s,
            line_s=line_s,
            slow_reader_s=slow_reader_s,
        )
        self._thread: threading.Thread | None = None
        self._up = threading.Event()
        self._leaving: asyncio.Event | None = None

    def start(self) -> None:
        """Take the path and serve in a thread of its own; clients can connect when this returns.

        Raises AlreadyRunning where another program serves there, ProtocolFault where the path
        cannot be a socket's, OSError where the folder cannot be used.
        """
        listener, lock_fd = self._claim()
        self._thread = threading.Thread(
            target=self._run, args=(listener, lock_fd), name=f"server {self.path.name}"
        )
        self._thread.start()
        self._up.wait()

    def close(self) -> None:
        """Send what is queued, leave, and give the path back. Safe to call twice."""
        if self._thread is None:
            return
        if self._leaving is not None:
            self._desk.soon(self._leaving.set)
        self._thread.join(_JOIN_S)
        if self._thread.is_alive():
            raise RuntimeError(f"the thread of {self.path} did not end within {_JOIN_S:.0f} s")
        self._thread = None

    def publish(self, snapshot: Mapping[str, Any]) -> None:
        """Make this the newest snapshot; never blocks. It must not be changed afterwards.

        Subscribers get it with a rising ``sequence``; one that is slower gets the newest when it
        can.
        """
        self._desk.publish(snapshot)

    def _claim(self) -> tuple[socket.socket, int]:
        name = os.fsencode(self.path)
        if len(name) > wire.PATH_BYTES:
            raise ProtocolFault(
                f"{self.path} has {len(name)} bytes; a socket's path has at most "
                f"{wire.PATH_BYTES}: serve in a folder with a shorter name"
            )
        lock_fd = _locked(self.path)
        try:
            _take_stale_away(self.path)
            listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
            try:
                listener.bind(str(self.path))
                # Nobody can connect before listen(), so there is no moment with a wider mode.
                os.chmod(self.path, self._mode)
            except BaseException:
                listener.close()
                raise
        except BaseException:
            os.close(lock_fd)
            raise
        return listener, lock_fd

    def _run(self, listener: socket.socket, lock_fd: int) -> None:
        mine = os.stat(self.path)
        try:
            asyncio.run(self._serve(listener))
        except Exception as error:  # noqa: BLE001 - a thread that dies takes its program down
            self._desk.failed(error)
        finally:
            listener.close()
            _give_back(self.path, mine)
            os.close(lock_fd)
            self._up.set()

    async def _serve(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(self._on_error)
        self._leaving = asyncio.Event()
        server = await loop.create_unix_server(
            lambda: _Peer(self._desk), sock=listener, backlog=_BACKLOG
        )
        self._desk.opens(loop)
        self._up.set()
        try:
            await self._leaving.wait()
        finally:
            server.close()
            await self._desk.hang_up()
            self._desk.closes()

    def _on_error(self, _: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if isinstance(error, OSError):  # out of descriptors, or a peer that broke off
            self._desk.note(f"{context.get('message')}: {error}")
        else:
            self._desk.failed(error or RuntimeError(str(context.get("message"))))


class _Desk:
    """What the clients of a server share. All but ``publish`` and ``soon`` is the loop's alone."""

    def __init__(
        self,
        *,
        name: str,
        methods: Mapping[str, Method],
        roles: Callable[[int], frozenset[str]],
        handler: Handler,
        now_ns: Callable[[], int],
        hello: Callable[[], Mapping[str, Any]],
        died: Callable[[BaseException], None],
        clients: int,
        interval_ns: int,
        line_s: float,
        slow_reader_s: float,
    ) -> None:
        self.methods = methods
        self.roles = roles
        self.handler = handler
        self.now_ns = now_ns
        self.hello = hello
        self.clients = clients
        self.interval_ns = interval_ns
        self.line_s = line_s
        self.slow_reader_s = slow_reader_s
        self.peers: dict[int, _Peer] = {}
        self._name = name
        self._died = died
        self._last_connection = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._publishing = threading.Lock()
        self._newest: tuple[int, Mapping[str, Any], int] | None = None
        self._flush_due = False
        self._pushed_s = float("-inf")
        self._notes_due_ns = 0
        self._notes_dropped = 0

    # --- from any thread ----------------------------------------------------------------------

    def publish(self, snapshot: Mapping[str, Any]) -> None:
        with self._publishing:
            sequence = self._newest[0] + 1 if self._newest else 1
            self._newest = (sequence, snapshot, self.now_ns())
            if self._flush_due or self._loop is None:
                return
            self._flush_due = True
        self.soon(self._flush)

    def soon(self, act: Callable[[], object]) -> None:
        """Run ``act`` on the server's thread; nothing where that has ended."""
        loop = self._loop
        if loop is None:
            return
        try:
            loop.call_soon_threadsafe(act)
        except RuntimeError:
            _LOG.debug("%s has ended", self._name)

    # --- on the server's thread ---------------------------------------------------------------

    def opens(self, loop: asyncio.AbstractEventLoop) -> None:
        with self._publishing:
            self._loop = loop

    def closes(self) -> None:
        with self._publishing:
            self._loop = None

    def admit(self, peer: _Peer) -> int | None:
        """Give a new client its number, which is never used again; None if there are too many.

        The last places are for those who may stop the pump: onlookers cannot take them all.
        """
        kept = 0 if Role.OPERATE.value in peer.roles else min(_KEPT_PLACES, self.clients - 1)
        if len(self.peers) >= self.clients - kept:
            return None
        self._last_connection += 1
        self.peers[self._last_connection] = peer
        return self._last_connection

    async def hang_up(self) -> None:
        for peer in list(self.peers.values()):
            peer.hang_up()
        loop = asyncio.get_running_loop()
        until_s = loop.time() + _LEAVE_S
        while self.peers and loop.time() < until_s:
            await asyncio.sleep(0.01)
        for peer in list(self.peers.values()):
            peer.abort()
        await asyncio.sleep(0)

    def failed(self, error: BaseException) -> None:
        """End the program over a bug."""
        _LOG.critical("%s has failed", self._name, exc_info=error)
        self._died(error)

    def note(self, text: str) -> None:
        """Record what was refused at the door; a flood of it is counted, not written (F28)."""
        now_ns = self.now_ns()
        due_ns = max(self._notes_due_ns, now_ns)
        if due_ns - now_ns > _NOTES_BURST_NS:
            self._notes_dropped += 1
            return
        self._notes_due_ns = due_ns + _NS_PER_S // _NOTES_PER_S
        dropped, self._notes_dropped = self._notes_dropped, 0
        also = f" (and {dropped} more)" if dropped else ""
        _LOG.warning("%s: %s%s", self._name, text, also)

    def snapshot(self) -> dict[str, Any] | None:
        """Return the newest snapshot with its sequence and age; None before the first."""
        newest = self._newest
        if newest is None:
            return None
        sequence, snapshot, at_ns = newest
        age_ms = max(0, self.now_ns() - at_ns) // _NS_PER_MS
        return {**snapshot, "sequence": sequence, "age_ms": age_ms}

    def pushed(self) -> bytes | None:
        """Return the newest snapshot as a line. Raises ProtocolFault for one that is too long."""
        snapshot = self.snapshot()
        if snapshot is None:
            return None
        line = wire.notification_line("snapshot", snapshot)
        if len(line) > wire.REPLY_BYTES:
            raise ProtocolFault(f"a snapshot of {len(line)} bytes: at most {wire.REPLY_BYTES}")
        return line

    def _flush(self) -> None:
        loop = asyncio.get_running_loop()
        wait_s = self._pushed_s + 1 / wire.PUSHES_PER_S - loop.time()
        if wait_s > 0:
            loop.call_later(wait_s, self._flush)
            return
        with self._publishing:
            self._flush_due = False
        self._pushed_s = loop.time()
        subscribers = [peer for peer in self.peers.values() if peer.subscribed]
        line = self.pushed() if subscribers else None
        if line is not None:
            for peer in subscribers:
                peer.push(line)


class _Peer(asyncio.BufferedProtocol):
    """One client: its buffer, its rate, what it waits for."""

    def __init__(self, desk: _Desk) -> None:
        self._desk = desk
        self._buffer = bytearray(wire.REQUEST_BYTES + 1)
        self._filled = 0
        self._transport: asyncio.Transport | None = None
        self._connection: int | None = None
        self._uid = -1
        self.roles: frozenset[str] = frozenset()
        self._greeted = False
        self._ended = False  # it has gone, or can say nothing more
        self._leaving = False
        self._due_ns = 0
        self._over = 0
        self._waiting: dict[int | str, asyncio.TimerHandle] = {}
        self._line_timer: asyncio.TimerHandle | None = None
        self._hello_timer: asyncio.TimerHandle | None = None
        self._slow_timer: asyncio.TimerHandle | None = None
        self._behind = False
        self.subscribed = False

    # --- asyncio's side -----------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=_HIGH_WATER_BYTES)
        peer: socket.socket = transport.get_extra_info("socket")
        raw = peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        _, self._uid, _ = struct.unpack("3i", raw)
        desk = self._desk
        self.roles = desk.roles(self._uid)
        if not self.roles:
            self._turn_away(Code.NOT_ALLOWED, f"user {self._uid} has no role on this pump")
            return
        self._connection = desk.admit(self)
        if self._connection is None:
            self._turn_away(
                Code.TOO_MANY_CLIENTS,
                f"at most {desk.clients} clients may be connected, "
                f"{_KEPT_PLACES} of them only with the role operate",
            )
            return
        self._hello_timer = self._later(desk.line_s, self._no_hello)

    def connection_lost(self, _: Exception | None) -> None:
        for timer in (self._line_timer, self._hello_timer, self._slow_timer):
            if timer is not None:
                timer.cancel()
        for waiting in self._waiting.values():
            waiting.cancel()
        self._waiting.clear()
        self._end()
        if self._connection is not None:
            self._desk.peers.pop(self._connection, None)
        self._transport = None

    def eof_received(self) -> bool:
        """It can say nothing more, so it cannot stop anything; its answers still go out."""
        self._end()
        if self._line_timer is not None:
            self._line_timer.cancel()
            self._line_timer = None
        self._filled = 0
        self._leaving = True
        return bool(self._waiting)

    def get_buffer(self, _: int) -> memoryview:
        return memoryview(self._buffer)[self._filled :]

    def buffer_updated(self, nbytes: int) -> None:
        if self._leaving:
            return
        filled = self._filled + nbytes
        start = 0
        while (end := self._buffer.find(b"\n", start, filled)) >= 0:
            line = bytes(self._buffer[start:end])
            start = end + 1
            if self._line_timer is not None:
                self._line_timer.cancel()
                self._line_timer = None
            self._line(line)
            if self._leaving:
                return
        left = filled - start
        self._buffer[:left] = self._buffer[start:filled]
        self._filled = left
        if left > wire.REQUEST_BYTES:
            self._turn_away(Code.TOO_LONG, f"a request has at most {wire.REQUEST_BYTES} bytes")
        elif left and self._line_timer is None:
            self._line_timer = self._later(self._desk.line_s, self._slow_line)

    def pause_writing(self) -> None:
        self._slow_timer = self._later(self._desk.slow_reader_s, self._slow_reader)

    def resume_writing(self) -> None:
        if self._slow_timer is not None:
            self._slow_timer.cancel()
            self._slow_timer = None
        if self._behind:
            self._behind = False
            line = self._desk.pushed()
            if line is not None:
                self.push(line)

    # --- ends ---------------------------------------------------------------------------------

    def hang_up(self) -> None:
        """Close when what is queued has gone out."""
        self._leaving = True
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """Close now."""
        self._leaving = True
        if self._transport is not None:
            self._transport.abort()

    def _end(self) -> None:
        if self._ended:
            return
        self._ended = True
        self.subscribed = False
        if self._greeted and self._connection is not None:
            try:
                self._desk.handler.gone(self._connection)
            except Exception as error:  # noqa: BLE001 - whatever it is, it ends the program
                self._desk.failed(error)

    def _turn_away(self, code: Code, text: str, data: Mapping[str, Any] | None = None) -> None:
        self._desk.note(f"user {self._uid}: {text} ({code})")
        self._send(wire.error_line(None, code, text, data))
        self.hang_up()

    def _no_hello(self) -> None:
        if not self._greeted:
            self._turn_away(Code.TOO_SLOW, f"no hello within {self._desk.line_s:g} s")

    def _slow_line(self) -> None:
        self._line_timer = None
        self._turn_away(Code.TOO_SLOW, f"a line was not finished within {self._desk.line_s:g} s")

    def _slow_reader(self) -> None:
        self._slow_timer = None
        self._desk.note(f"user {self._uid}: does not read, so its connection was closed")
        self.abort()

    def _later(self, delay_s: float, act: Callable[[], object]) -> asyncio.TimerHandle:
        return asyncio.get_running_loop().call_later(delay_s, act)

    # --- requests -----------------------------------------------------------------------------

    def _line(self, line: bytes) -> None:
        over = self._over_rate()
        try:
            request = wire.read_request(line)
        except wire.BadRequest as fault:
            self._refuse(fault.request_id, Code.UNREADABLE, f"not a request: {fault}")
        else:
            self._request(request, over=over)
        if self._over > _FLOOD:
            self._turn_away(Code.TOO_MANY_REQUESTS, "requests kept coming far above the rate")

    def _over_rate(self) -> bool:
        """Count a request; say whether it is over the rate (a bucket of one second)."""
        now_ns = self._desk.now_ns()
        due_ns = max(self._due_ns, now_ns)
        if due_ns - now_ns > _NS_PER_S - self._desk.interval_ns:
            self._over += 1
            return True
        self._due_ns = due_ns + self._desk.interval_ns
        self._over = 0
        return False

    def _request(self, request: wire.Request, *, over: bool) -> None:
        if request.method == "hello":
            self._hello(request)
            return
        if not self._greeted:
            self._refuse(request.id, Code.HELLO_FIRST, "the first message must be hello")
            return
        method = self._desk.methods.get(request.method)
        if method is None:
            self._refuse(
                request.id, Code.UNKNOWN_METHOD, f"there is no method {wire.shown(request.method)}"
            )
            return
        if method.role.value not in self.roles:
            text = f"{method.name} needs the role {method.role.value}; user {self._uid} has "
            text += ", ".join(sorted(self.roles))
            self._refuse(request.id, Code.NOT_ALLOWED, text, {"role": method.role.value})
            return
        try:
            params = method.params.model_validate(request.params)
        except ValidationError as error:
            self._refuse_parameters(request.id, reasons_of(error))
            return
        if method.urgent:
            self._guarded(method, params)
        elif over:
            rate = _NS_PER_S // self._desk.interval_ns
            self._refuse(request.id, Code.TOO_MANY_REQUESTS, f"at most {rate} requests a second")
            return
        self._hand_over(request.id, method, params)

    def _hello(self, request: wire.Request) -> None:
        theirs = request.params.get("protocol")
        if isinstance(theirs, int) and not isinstance(theirs, bool) and theirs != wire.PROTOCOL:
            text = (
                f"the client speaks protocol {theirs}, this pump protocol {wire.PROTOCOL}: "
                "update the older one"
            )
            data = {"client_protocol": theirs, "pump_protocol": wire.PROTOCOL}
            self._desk.note(f"user {self._uid}: {text}")
            self._send(wire.error_line(request.id, Code.WRONG_VERSION, text, data))
            self.hang_up()
            return
        try:
            HelloParams.model_validate(request.params)
        except ValidationError as error:
            self._refuse_parameters(request.id, reasons_of(error))
            return
        if self._hello_timer is not None:
            self._hello_timer.cancel()
            self._hello_timer = None
        self._greeted = True
        about = {"protocol": wire.PROTOCOL, **self._desk.hello(), "roles": sorted(self.roles)}
        self._send(wire.result_line(request.id, about))

    def _guarded(self, method: Method, params: BaseModel) -> None:
        try:
            self._desk.handler.urgent(self._number(), self._uid, method.name, params)
        except Exception as error:  # noqa: BLE001 - whatever it is, it ends the program
            self._desk.failed(error)

    def _hand_over(self, request_id: int | str, method: Method, params: BaseModel) -> None:
        if method.serves:
            self._serve_snapshot(request_id, subscribe=method.serves == "subscribe")
            return
        if request_id in self._waiting:
            text = f"id {wire.shown(request_id)} is in use by a request that has no answer yet"
            self._refuse(request_id, Code.UNREADABLE, text)
            return
        if len(self._waiting) >= wire.UNANSWERED and not method.urgent:
            text = f"{wire.UNANSWERED} requests wait for their answers, and no more may"
            self._refuse(request_id, Code.TOO_MANY_REQUESTS, text)
            return
        late = Unknown(f"{method.name} has no answer after {method.answer_s:g} s")
        self._waiting[request_id] = self._later(
            method.answer_s, lambda: self._answered(request_id, late)
        )
        answer = _once(lambda given: self._desk.soon(lambda: self._answered(request_id, given)))
        try:
            self._desk.handler.request(self._number(), self._uid, method.name, params, answer)
        except Exception as error:  # noqa: BLE001 - whatever it is, it ends the program
            self._answered(request_id, Unknown("the program failed while it worked on this"))
            self._desk.failed(error)

    def _serve_snapshot(self, request_id: int | str, *, subscribe: bool) -> None:
        snapshot = self._desk.snapshot()
        if snapshot is None:
            self._failed(request_id, "E301", "the program is starting and has no state yet")
            return
        self.subscribed = self.subscribed or subscribe
        self._done(request_id, snapshot)

    def _answered(self, request_id: int | str, answer: Answer) -> None:
        timer = self._waiting.pop(request_id, None)
        if timer is None:
            return  # the client has gone, or was told that it takes too long
        timer.cancel()
        match answer:
            case Done(result):
                self._done(request_id, result)
            case Refused(reasons):
                listed = [
                    {key: said for key, said in reason.items() if said not in (None, "")}
                    for reason in reasons
                ]
                text = "refused: " + "; ".join(str(reason["text"]) for reason in listed)
                self._send(
                    wire.error_line(
                        request_id, Code.REFUSED, text, {"reasons": listed, **_first(listed)}
                    )
                )
            case Unknown(text):
                self._send(wire.error_line(request_id, Code.OUTCOME_UNKNOWN, text))
            case Failed(code, text):
                self._failed(request_id, code, text)
        if self._leaving and not self._waiting:
            self.hang_up()

    def _done(self, request_id: int | str, result: Mapping[str, Any]) -> None:
        line = wire.result_line(request_id, result)
        if len(line) > wire.REPLY_BYTES:
            text = f"an answer of {len(line)} bytes, at most {wire.REPLY_BYTES}: ask for less"
            self._failed(request_id, Code.TOO_LONG.value, text)
        else:
            self._send(line)

    def _failed(self, request_id: int | str, fault: str, text: str) -> None:
        self._send(wire.error_line(request_id, Code.FAILED, text, {"fault": fault}))

    def _refuse(
        self,
        request_id: int | str | None,
        code: Code,
        text: str,
        data: Mapping[str, Any] | None = None,
    ) -> None:
        self._desk.note(f"user {self._uid}: {text} ({code})")
        self._send(wire.error_line(request_id, code, text, data))

    def _refuse_parameters(self, request_id: int | str, reasons: list[dict[str, Any]]) -> None:
        text = "; ".join(reason["text"] for reason in reasons)
        self._refuse(request_id, Code.BAD_PARAMETERS, text, {"reasons": reasons, **_first(reasons)})

    # --- out ----------------------------------------------------------------------------------

    def push(self, line: bytes) -> None:
        """Send a snapshot; a client that has not read the last ones gets the newest when it has."""
        if self._slow_timer is not None:
            self._behind = True
        else:
            self._send(line)

    def _send(self, line: bytes) -> None:
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        if transport.get_write_buffer_size() + len(line) > _QUEUED_BYTES:
            self._desk.note(f"user {self._uid}: does not read its answers, so it was closed")
            self.abort()
            return
        transport.write(line)

    def _number(self) -> int:
        if self._connection is None:
            raise ProtocolFault("a client without a number asked for something")
        return self._connection


def _once(tell: Callable[[Answer], None]) -> Callable[[Answer], None]:
    lock = threading.Lock()
    told = False

    def answer(given: Answer) -> None:
        nonlocal told
        with lock:
            if told:
                raise RuntimeError(f"a request is answered once; this came second: {given}")
            told = True
        tell(given)

    return answer


def _first(reasons: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return field, value and range of the first reason that has them."""
    for reason in reasons:
        if "field" in reason:
            return {key: reason[key] for key in ("field", "value", "range") if key in reason}
    return {}


def _locked(path: Path) -> int:
    """Lock the file beside the socket: of two programs that start at once, one wins (SR-62)."""
    lock = path.with_name(path.name + ".lock")
    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise AlreadyRunning(f"another program serves {path}: it holds {lock}") from None
    return descriptor


def _take_stale_away(path: Path) -> None:
    """Unlink a socket that nobody serves. A live one is never stolen."""
    try:
        seen = os.lstat(path)
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(seen.st_mode):
        raise ProtocolFault(f"{path} is there and is no socket: take it away")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(0)
        answer = probe.connect_ex(str(path))
    if answer != errno.ECONNREFUSED:
        raise AlreadyRunning(f"another program serves {path}")
    path.unlink()


def _give_back(path: Path, mine: os.stat_result) -> None:
    try:
        seen = os.lstat(path)
    except FileNotFoundError:
        return
    if (seen.st_dev, seen.st_ino) == (mine.st_dev, mine.st_ino):
        path.unlink(missing_ok=True)
