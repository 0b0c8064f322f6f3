"""A short load of everything at once: applications, questions by HTTPS and by datagrams, imports, images, metrics, freezes, new keys and
connections that come and go. For builds with sanitizers above all: what they find ends the daemon with another status than 0."""
import signal
from asking import *

tap = Tap()
SECONDS = 6
hub = Hub(keys="", limits='probe_limit = "off"; address_limit = "off";')
atexit.register(hub.close)
import_declarations(hub)  # asked about; what is applied for are others
BEYOND = 100000
hub.start()
assert hub.call(201, "POST", "/v1/documents?name=b.csv", declarations(COUNT, BEYOND), kind="text/csv")[0] == 200
ending, wrong, done = threading.Event(), [], {}
FAULTS = (OSError, http.client.HTTPException)


def often(name, party, pause=0.0):
    """Starts a thread that repeats: the function gets a client and a number, and returns statuses."""

    def start(act):
        def run():
            client, number = hub.client(party), 0
            while not ending.is_set():
                number += 1
                try:
                    statuses = act(client, number)
                except FAULTS as fault:
                    wrong.append((name, repr(fault)))
                    client.close()
                    continue
                wrong.extend((name, s) for s in statuses if s not in (200, 403))
                done[name] = done.get(name, 0) + 1
                time.sleep(pause)
            client.close()

        threads.append(threading.Thread(target=run, daemon=True))
        threads[-1].start()
        return act

    return start


threads = []
loads = [Load(hub, 11, COUNT, threads=2, first_document=BEYOND), Load(hub, 12, COUNT, threads=1, first_id=500000000, first_document=BEYOND)]
asking = [Ask(hub, 11), Ask(hub, 12)]


@often("verify", 11)
def _(client, number):
    return [client.call("POST", "/v1/verify?name=q.csv", declarations(300, number * 100 % COUNT + 1), kind="text/csv")[0]]


@often("events", 11)
def _(client, number):
    status, name = client.apply(700000000 + number, BEYOND + number % COUNT, "0.01")
    if name != "OK":
        return [status]
    return [status] + [client.call("POST", f"/v1/financings/{700000000 + number}/{event}", {"expect": str(expect)})[0] for expect, event in ((1, "accept"), (2, "approve"))]


@often("import", 201, 0.05)
def _(client, number):
    return [client.call("POST", f"/v1/documents?name=d{number}.csv", declarations(200, 2 * BEYOND + number * 200), kind="text/csv")[0]]


@often("regulator", 1, 0.2)
def _(client, number):
    return [client.call("POST", "/v1/snapshot", {})[0], client.call("GET", "/v1/alerts?limit=100")[0], client.call("GET", "/metrics", headers={})[0],
            client.call("GET", "/v1/stats")[0], client.call("GET", "/v1/financings?limit=200")[0]]


@often("freeze", 1, 0.3)
def _(client, number):
    statuses = [client.call("POST", "/v1/parties/102/" + word, {})[0] for word in ("freeze", "unfreeze")]
    hub.tell(signal.SIGHUP)
    return statuses


@often("strangers", None)
def _(client, number):
    status = client.call("GET", "/ready")[0]
    client.close()
    return [status]


answered = [a.ready() for a in asking]
time.sleep(SECONDS)
EACH, until = {"verify", "events", "import", "regulator", "freeze", "strangers"}, time.monotonic() + 120
while time.monotonic() < until and (EACH - set(done) or sum(len(load.acknowledged) for load in loads) <= 10):
    time.sleep(0.1)
ending.set()
totals = [a.end() for a in asking]
acknowledged = set().union(*(load.end() for load in loads))
for thread in threads:
    thread.join(60)
print(f"# {done} {totals} {len(acknowledged)} applications", flush=True)
tap.ok(all(answered) and all(t["wrong"] == t["failed"] == 0 and t["rounds"] > 0 for t in totals), "questions by datagrams had right answers", (answered, totals, [a.said[-300:] for a in asking]))
tap.same(wrong[:5], [], "nobody was refused what is theirs")
tap.same(EACH - set(done), set(), "everything was done")
tap.ok(len(acknowledged) > 10, f"{len(acknowledged)} applications were acknowledged")
tap.same(hub.stop(), 0, "SIGTERM: 0")
rows, status = hub.kanhe_rows("audit")
tap.same((rows[0]["ok"], status), (True, 0), "audit")
hub.close()
tap.end()
