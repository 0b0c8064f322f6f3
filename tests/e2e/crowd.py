"""Connections that want to be in the way: idle ones by the thousand, half a handshake, headers and bodies that trickle, answers that are
not fetched. The hub's bounds hold, and a party goes on working."""
import atexit
import resource
import select
import socket
from hub import *

tap = Tap()
soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 20000), hard))
MOST, EACH = 300, 16
hub = Hub(keys=f"max_connections = {MOST}; max_connections_per_address = {EACH}; idle_s = 6;")
atexit.register(hub.close)
hub.start()


def idle(source, n, sent=b""):
    """n connections from a loopback address that say nothing (or that)."""
    made = []
    for _ in range(n):
        s = socket.socket()
        s.settimeout(5)
        s.bind((source, 0))
        try:
            s.connect((hub.host, hub.port))
            if sent:
                s.sendall(sent)
            made.append(s)
        except OSError:
            s.close()
    return made


def alive(sockets, most):
    """Those that the hub has not closed, once they are few enough (or a long while is over)."""
    poll, left = select.poll(), {s.fileno(): s for s in sockets}
    for number in left:
        poll.register(number, select.POLLIN | select.POLLHUP)
    until = time.monotonic() + 30
    while len(left) > most and time.monotonic() < until:
        for number, _ in poll.poll(200):
            poll.unregister(number)
            del left[number]
    return list(left.values())


def close(sockets):
    for s in sockets:
        s.close()


def figure(name, labels=""):
    text = hub.call(1, "GET", "/metrics", headers={})[1]
    return sum(int(value) for value in re.findall(r"^%s(?:\{[^}]*%s[^}]*\})? (\d+)$" % (name, labels), text, re.M))


# ---- one address that has proven nothing
first = idle("127.0.0.7", 60)
left = alive(first, EACH)
tap.ok(0 < len(left) <= EACH, f"of 60 idle connections of one address at most {EACH} stay: {len(left)}")
mean = sum(first.index(s) for s in left) / len(left)
tap.ok(mean > 35, f"the idle longest went first, as far as two polling threads agree who that is: {mean:.0f} is the middle of those who stay")
tap.ok(figure("kanhe_http_connections_dropped_total") >= 60 - EACH, "and are counted as dropped")
started = time.monotonic()
tap.same(hub.call(11, "GET", "/v1/me")[0], 200, "a party from another address is served")
close(first)

# ---- the same address as a party's own
bank = hub.client(11)
tap.same(bank.call("GET", "/v1/me")[0], 200, "a party is connected")
crowd = idle("127.0.0.1", 2 * MOST)
left = alive(crowd, MOST)
tap.ok(len(left) <= MOST, f"of {2 * MOST} more from its address no more than {MOST} stay: {len(left)}")
tap.same(bank.call("GET", "/v1/me")[0], 200, "its connection is not among those that went")
tap.same(hub.call(12, "GET", "/v1/me")[0], 200, "another party comes in through the crowd")
tap.same(bank.call("GET", "/v1/me")[0], 200, "and the first is still there")
close(crowd)

# ---- many addresses: 2,000 connections for 300 places, while a party works
crowd, served, slow = [], 0, 0.0
for k in range(125):
    crowd += idle(f"127.0.1.{k + 1}", EACH)
    if k % 5 == 0:
        at = time.monotonic()
        served += bank.call("GET", "/v1/me")[0] == 200
        slow = max(slow, time.monotonic() - at)
tap.same(served, 25, "a party's session works while 2,000 idle connections are attempted")
left = alive(crowd, MOST - 1)
tap.ok(len(left) < MOST, f"with the party's no more than {MOST} connections are open: {len(left)}")
tap.ok(figure("kanhe_http_connections", 'state="unproven"') <= MOST, "the figures say so too")
close(crowd)

# ---- half a handshake, and headers that trickle: closed although they are not idle
half = idle("127.0.0.8", 1, sent=b"\x16\x03\x01\x02\x00\x01")
context = hub.tls(None)
trickle = context.wrap_socket(idle("127.0.0.9", 1)[0], server_hostname="127.0.0.1")
trickle.sendall(b"GET /health HTTP/1.1\r\nHost: a\r\n")
known = hub.client(11)
known.call("GET", "/v1/me")
known.connection.sock.sendall(b"GET /v1/me HTTP/1.1\r\n")
body = hub.client(11)
body.connection.putrequest("POST", "/v1/verify")
body.connection.putheader("Content-Type", "text/csv")
body.connection.putheader("Content-Length", "2000")
body.connection.endheaders(b"kind,number\n")
begun, ended = time.monotonic(), {}
sockets = {"half a handshake": half[0], "a trickling header": trickle, "a party's trickling header": known.connection.sock, "a trickling body": body.connection.sock}
while len(ended) < len(sockets) and time.monotonic() - begun < 120:
    time.sleep(0.5)
    for name, s in sockets.items():
        if name in ended:
            continue
        try:
            s.sendall(b"\x00" if name.startswith("half") else b"x" if "body" in name else b"X: y\r\n")
            s.setblocking(False)
            if s.recv(1000) == b"":
                ended[name] = time.monotonic() - begun
            s.setblocking(True)
        except (BlockingIOError, ssl.SSLWantReadError):
            s.setblocking(True)
        except OSError:
            ended[name] = time.monotonic() - begun
for name in sockets:
    tap.ok(name in ended, f"{name} is ended: after {ended.get(name, 999):.0f} s")
tap.ok(figure("kanhe_http_connections_dropped_total", 'why="deadline"') >= 4, "by the deadline, counted")

# ---- answers that are not fetched hold no worker
hub.call(1, "POST", "/v1/documents", declarations(2000), kind="text/csv")
lazy = [hub.client(11) for _ in range(12)]
for client in lazy:
    client.connection.connect()
    client.connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.connection.request("POST", "/v1/verify", declarations(2000), {"Content-Type": "text/csv"})
given_up = figure("kanhe_http_connections_dropped_total", 'why="deadline"')
tap.same(hub.call(12, "GET", "/v1/me")[0], 200, "twelve large answers that nobody reads: another bank is served")
tap.same(figure("kanhe_http_connections_dropped_total", 'why="deadline"'), given_up, "while they stand there")
for client in lazy:
    client.close()
tap.same(hub.stop(), 0, "the hub stops cleanly")
hub.close()
tap.end()
