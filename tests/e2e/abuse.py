"""Who misbehaves, and who must not notice: half-open, idle and trickling connections, floods, probing. Latencies are printed, not asserted."""
import resource
import select
import signal
import socket
import sys
import time
from hub import *

tap = Tap()
soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
MAX_CONNECTIONS = min(8192, max(256, hard - 3000))
IDLE = min(100000, hard - 2000)
DOCUMENTS = 2000

# In memory where that can be had: what is measured is the hub, not what else the disk is doing.
memory = tempfile.mkdtemp(prefix="kanhed-abuse-", dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None)
hub = Hub(data=os.path.join(memory, "data"), keys=f"max_connections = {MAX_CONNECTIONS}; idle_s = 60;", limits='probe_limit = "300/20"; address_limit = "off";')
hub.start()
status, answer = hub.call(201, "POST", "/v1/documents?name=d.csv", declarations(DOCUMENTS), kind="text/csv")
tap.same(status, 200, "documents are there")


class Good:
    """A bank and the regulator at work: every answer must come and be right."""

    def __init__(self):
        self.next_id = 1
        self.wrong = []

    def work(self, seconds):
        """Latencies in ms of the bank's and the regulator's calls."""
        bank, regulator = hub.client(11, timeout=120), hub.client(1, timeout=120)
        bank_ms, regulator_ms = [], []
        until = time.time() + seconds
        while time.time() < until:
            serial = self.next_id % DOCUMENTS + 1
            self.timed(bank_ms, lambda: bank.apply(self.next_id, serial, "0.01"), (200, "OK"))
            self.timed(bank_ms, lambda: self.verdict(bank, serial), (200, ["OK"]))
            self.timed(regulator_ms, lambda: self.regulator(regulator, serial), (200, 1))
            self.next_id += 1
        bank.close()
        regulator.close()
        return bank_ms, regulator_ms

    def timed(self, into, call, wanted):
        begun = time.perf_counter()
        try:
            got = call()
        except (OSError, http.client.HTTPException) as error:
            got = repr(error)
        into.append((time.perf_counter() - begun) * 1000)
        if got != wanted:
            self.wrong.append((got, wanted))

    @staticmethod
    def verdict(client, serial):
        status, answer = client.call("POST", "/v1/verify?name=q.csv", declarations(1, first=serial), kind="text/csv")
        return status, [r["name"] for r in answer.get("results", []) if r["row"] == "verdict"]

    @staticmethod
    def regulator(client, serial):
        status, answer = client.call("GET", f"/v1/balance?document=export_declaration:{declaration(serial)}")
        return status, len(answer.get("results", []))


def p(values, part):
    return sorted(values)[min(len(values) - 1, int(len(values) * part))] if values else float("nan")


good = Good()
alone = good.work(3)
tap.same(good.wrong[:3], [], f"alone, {sum(map(len, alone))} calls are answered and right")


def beside(name, abuse_ends, seconds=4):
    good.wrong.clear()
    got = good.work(seconds)
    told = abuse_ends()
    tap.same(good.wrong[:3], [], f"{name}: {sum(map(len, got))} calls of others are answered and right")
    print(f"# {name}: {told}")
    for who, before, after in zip(("bank", "regulator"), alone, got):
        print(f"#   {who}: p50 {p(after, .5):.1f} ms, p99 {p(after, .99):.1f} ms; alone {p(before, .5):.1f}, {p(before, .99):.1f}; "
              f"p99 ratio {p(after, .99) / p(before, .99):.2f}")
    sys.stdout.flush()


# ---- connections that say nothing (half-open), from many addresses
def connect_from(number):
    s = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    s.setblocking(False)
    s.bind((f"127.{1 + number // 62500}.{number // 250 % 250}.{1 + number % 250}", 0))
    s.connect_ex((hub.host, hub.port))
    return s


silent = []
for i in range(IDLE):
    try:
        silent.append(connect_from(i))
    except OSError:
        break
    if i % 500 == 0:
        time.sleep(0.02)


def end_silent():
    readable, closed = select.poll(), 0
    for s in silent:
        readable.register(s, select.POLLIN)
    closed = len(readable.poll(0))
    for s in silent:
        s.close()
    return f"{len(silent)} silent connections, {closed} of them closed by the hub"


beside("silent connections", end_silent)

# ---- one address that has proven nothing does not get more than its share
context = hub.tls()
many, refused = [], 0
for i in range(64):
    s = socket.create_connection((hub.host, hub.port), timeout=20)
    try:
        many.append(context.wrap_socket(s, server_hostname="localhost"))
    except OSError:
        refused += 1
        s.close()
time.sleep(0.5)
poll = select.poll()
for s in many:
    poll.register(s, select.POLLIN)
closed = 0
for s in many:
    s.settimeout(0.2)
    try:
        if s.recv(1) == b"":
            closed += 1
    except TimeoutError:
        pass
    except OSError:
        closed += 1
tap.ok(len(many) - closed <= 16, f"of 64 unproven connections of one address at most 16 stay ({refused} refused, {closed} closed)", (len(many), closed))
tap.same(hub.call(11, "GET", "/v1/me")[0], 200, "a proven one from the same address gets in")
for s in many:
    s.close()


# ---- slow-loris: headers and bodies that trickle
class Trickle:
    def __init__(self, count, party):
        self.ending, self.sent, self.cut, self.open = False, 0, 0, []
        context = hub.tls(party)
        for i in range(count):
            s = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            s.settimeout(20)
            s.bind((f"127.200.{i // 250}.{1 + i % 250}", 0))
            try:
                s.connect((hub.host, hub.port))
                tls = context.wrap_socket(s, server_hostname="localhost")
                if i % 2:
                    tls.sendall(b"POST /v1/verify?name=q HTTP/1.1\r\nHost: h\r\nContent-Type: text/csv\r\nContent-Length: 100000\r\n\r\n")
                else:
                    tls.sendall(b"GET /v1/me HTTP/1.1\r\nHost: h\r\n")
                self.open.append(tls)
            except OSError:
                self.cut += 1
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        while not self.ending:
            for s in list(self.open):
                try:
                    s.sendall(b"x")
                    self.sent += 1
                except OSError:
                    self.open.remove(s)
                    self.cut += 1
            time.sleep(0.5)

    def end(self):
        self.ending = True
        self.thread.join(30)
        left = len(self.open)
        for s in self.open:
            s.close()
        return f"{self.sent} single bytes sent; {self.cut} connections cut, {left} still open"


for party, name in ((None, "slow-loris of strangers"), (12, "slow-loris of a bank")):
    beside(name, Trickle(200, party).end)


# ---- a bank that floods one document, from a process of its own
class Flood:
    def __init__(self, threads, call):
        self.read, write = os.pipe()
        self.since = time.time()
        self.child = os.fork()
        if self.child == 0:
            os.close(self.read)
            self.ending, self.lock, self.statuses = False, threading.Lock(), {}
            signal.signal(signal.SIGTERM, self.stop)
            running = [threading.Thread(target=self.run, args=(call, 5000000 + i * 100000)) for i in range(threads)]
            for thread in running:
                thread.start()
            for thread in running:
                thread.join()
            os.write(write, json.dumps(self.statuses).encode())
            os._exit(0)
        os.close(write)

    def stop(self, *_):
        self.ending = True

    def run(self, call, id_):
        client = hub.client(12, timeout=60)
        while not self.ending:
            try:
                said = call(client, id_)
            except (OSError, http.client.HTTPException):
                client.close()
                said = "broken"
            with self.lock:
                self.statuses[str(said)] = self.statuses.get(str(said), 0) + 1
            id_ += 1
        client.close()

    def end(self):
        os.kill(self.child, signal.SIGTERM)
        with os.fdopen(self.read) as f:
            self.statuses = json.load(f)
        os.waitpid(self.child, 0)
        self.seconds = time.time() - self.since
        return self.statuses


beside("a bank that floods one document", Flood(6, lambda client, id_: client.apply(id_, 1, "1.00")).end)


# ---- a bank that probes numbers
def probe(client, _):
    status, answer = client.call("POST", "/v1/verify?name=p.csv", declarations(100, first=50000000), kind="text/csv")
    names = {r["name"] for r in answer.get("results", []) if r.get("row") == "verdict"} if status == 200 else {status}
    return " ".join(sorted(map(str, names)))


flood = Flood(3, probe)
beside("a bank that probes numbers", flood.end)
tap.ok(any("RATE_LIMITED" in said or said == "429" for said in flood.statuses), "who probes is limited after the burst", flood.statuses)
limited = sum(n for said, n in flood.statuses.items() if "RATE_LIMITED" in said or said == "429")
tap.ok(limited <= 100 * flood.seconds + 3, "beyond it a hundred answers a second at most", f"{limited} in {flood.seconds:.1f} s")
status, answer = hub.call(11, "POST", "/v1/verify?name=p.csv", declarations(1, first=50000000), kind="text/csv")
tap.same([r["name"] for r in answer["results"] if r["row"] == "verdict"], ["NOT_FOUND"], "another bank's own mistakes are not charged to it")
status, answer = hub.call(1, "POST", "/v1/verify?name=p.csv", declarations(1000, first=50000000), kind="text/csv")
tap.same({r["name"] for r in answer["results"] if r["row"] == "verdict"}, {"NOT_FOUND"}, "the regulator is not limited")

# ---- a stranger's address is limited, and no other one with it
limited = Hub(limits='address_limit = "20/1";', parties=False)
limited.start()


def stranger(address):
    connection = http.client.HTTPSConnection(limited.host, limited.port, context=limited.tls(), timeout=60, source_address=(address, 0))
    connection.request("GET", "/v1/me", headers=ACCESS_JSON)
    status = connection.getresponse().status
    connection.close()
    return status


statuses = [stranger("127.0.0.9") for _ in range(40)]
tap.ok(statuses[0] == 401 and 429 in statuses, "a stranger's requests are limited by address", statuses)
tap.same([stranger(f"127.0.0.{10 + i}") for i in range(5)], [401] * 5, "other addresses are not charged for it")
limited.stop()
limited.close()

# ---- after all that
status, text = hub.call(1, "GET", "/metrics", headers={})
tap.same(status, 200, "metrics")
tap.same(hub.stop(), 0, "it stops well")
rows, status = hub.kanhe_rows("audit")
tap.same((rows[0]["ok"], status), (True, 0), "audit")
hub.close()
shutil.rmtree(memory)
tap.end()
