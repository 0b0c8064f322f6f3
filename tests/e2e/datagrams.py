"""Sealed datagrams through kernel sockets, the real service behind them: several pollers, IPv4 and IPv6, a network that loses, repeats,
reorders and spoils; sessions that end and are renewed; a daemon that is killed; a party that is frozen. SEED repeats a run."""
import random
import signal
import socket
from asking import *
from relay import Relay

tap = Tap()
seed = int(os.environ.get("SEED", random.randrange(1 << 30)))
print(f"# SEED={seed}", flush=True)
SESSION_S = 10  # the least that may be configured


def serve(more):
    """A hub on ports that it has again after a restart, and a relay before it."""
    https, hub_udp = free_port(socket.SOCK_STREAM), free_port(socket.SOCK_DGRAM)
    relay = Relay(("127.0.0.1", hub_udp), seed)
    more = more.replace("RELAY", str(relay.port))
    hub = Hub(keys=f'listen = "127.0.0.1:{https}"; datagrams = {{ listen = "127.0.0.1:{hub_udp},[::1]:{hub_udp}"; {more} }};',
              without=("listen", "datagrams"), limits='probe_limit = "off"; address_limit = "off";')
    atexit.register(hub.close)
    import_declarations(hub)
    hub.start()
    hub.udp, hub.relay = hub_udp, relay
    return hub


# ---- two hubs at once: one behind a bad network, one that will be hurt
bad, hurt = serve('pollers = 4; address = "127.0.0.1:RELAY";'), serve(f"pollers = 2; session_s = {SESSION_S};")
through = Ask(bad, threads=8)
one, other = Ask(hurt, 11), Ask(hurt, 12)
four, six = Ask(hurt, 11, threads=4, address=f"127.0.0.1:{hurt.udp}"), Ask(hurt, 12, threads=4, address=f"[::1]:{hurt.udp}")
tap.ok(all([a.ready() for a in (through, four, six, one, other)]), "five parties' programs are answered, through kernel sockets")

# ---- what the bad network did is in the books
through.more(30)
got = through.end()
relay = bad.relay
relay.drain()
print(f"# relay {relay.counts} {got}")
tap.ok(got["wrong"] == 0 and got["rounds"] > 10, "every answer through it is the right one", got)
tap.ok(min(relay.counts.values()) > 20, "it did lose, repeat, hold back and spoil", relay.counts)
dropped = "kanhe_datagrams_dropped_%s_total"
unanswered, busy, lost = relay.requests - set(relay.answers), figure(bad, dropped % "busy"), relay.lost_by_kernel()
tap.same({n for n in relay.answers.values()}, {1}, "no request has two answers, however often it comes")
tap.same(set(relay.answers) - relay.requests, set(), "what is not sound has none")
tap.ok(busy <= len(unanswered) <= busy + lost, f"each sound request has one: but {busy} that the hub was too busy for", (unanswered, busy, lost))
why = re.findall(r"^kanhe_datagrams_dropped_([a-z_]+)_total(?:\{[^}]*\})? ([1-9]\d*)$", bad.call(1, "GET", "/metrics", headers={})[1], re.M)
print(f"# dropped {why}, of them spoiled before {relay.spoiled_up}; {through.said[-300:]!r}", flush=True)
repeated = sum(figure(bad, dropped % word) for word in ("replayed", "too_old"))
told = repeated, figure(bad, dropped % "[a-z_]+") - repeated - busy
wanted = relay.copies, relay.spoiled_up
tap.ok(told == wanted or (lost and sum(wanted) - lost <= sum(told) <= sum(wanted)), "copies and spoiled ones are dropped, each counted", (told, wanted, lost))
tap.ok(all(figure(bad, "kanhe_ingest_rx_total", f'poller="{p}"') > 0 for p in range(4)), "every poller had work")

tap.same(bad.stop(), 0, "it stops well")

# ---- IPv4, IPv6, lanes; the end of a session
until = time.monotonic() + 60
while four.totals()["silent"] + six.totals()["silent"] < 8 and time.monotonic() < until:
    time.sleep(0.1)
ends = four.end(), six.end()
tap.ok(all(e["rounds"] >= 4 and e["wrong"] == 0 for e in ends), "several lanes of one session are answered, over IPv4 and over IPv6", ends)
tap.same([e["silent"] for e in ends], [4, 4], f"until it ends, after {SESSION_S} s")
tap.ok(figure(hurt, dropped % "(?:expired|unknown)") > 0, "what comes afterwards is counted")

# ---- renewal has no gap
until, opened = time.monotonic() + 60, 0
while opened < 8 and time.monotonic() < until:
    time.sleep(0.1)
    opened = figure(hurt, "kanhe_http_requests_total", "v1/sessions")
got = one.totals()
tap.ok(got["failed"] == 0 and got["wrong"] == 0 and opened >= 8, f"the library renews its session without a gap: {opened} sessions of 4 threads, nothing failed", (got, opened))

# ---- a frozen party
begun = other.totals()
tap.same(hurt.call(1, "POST", "/v1/parties/12/freeze", {})[0], 200, "a bank is frozen")
tap.ok(other.over(), "its session is over, and it gets no other", other.totals())
got = other.end()
tap.ok(got["failed"] > 0 and got["wrong"] == 0, "its program is told", (got, other.said[-300:]))
tap.ok(one.more(3) and one.totals()["failed"] == 0, "the other bank's goes on")

# ---- SIGKILL, and again
for _ in range(2):
    hurt.stop(signal.SIGKILL)
    hurt.start()
    tap.ok(one.more(5), "after a kill the program opens another session and goes on", one.totals())
got = one.end()
tap.ok(got["wrong"] == 0 and one.child.returncode == 0, "every answer was right", (got, one.said[-500:]))
tap.same(hurt.stop(), 0, "it stops well")
tap.end()
