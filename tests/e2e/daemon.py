"""kanhed as its operator meets it: started, locked, stopped, killed, started again; its log; its rights."""
import signal
import socket
import sys
import time
from hub import *

tap = Tap()


def run(*words, **more):
    return subprocess.run([KANHED, *words], capture_output=True, text=True, timeout=60, **more)


def refused(hub, status, words, name):
    """The daemon must not start, with that status and a sentence that holds these words."""
    hub.start(wait=False)
    hub.process.wait(60)
    got = hub.process.returncode
    said = hub.said()
    os.truncate(hub.log, 0)
    hub.process.stdout.close()
    hub.process = None
    return tap.ok(got == status and all(word in said for word in words), name, (got, said))


# ---- the command line
done = run("--help")
tap.ok(done.returncode == 0 and "usage: kanhed" in done.stdout, "--help", done)
tap.ok(run("--version").stdout.startswith("kanhed "), "--version")
done = run()
tap.ok(done.returncode == 2 and "--config" in done.stderr, "no configuration: 2", done)
done = run("--frob")
tap.ok(done.returncode == 2 and "--frob" in done.stderr, "an option that is none: 2", done)

hub = Hub(parties=False)
done = run("--config", hub.conf, "--check")
tap.ok(done.returncode == 0 and done.stdout.endswith("well\n") and hub.data in done.stdout and not os.path.exists(hub.data), "--check does nothing", done)
with open(hub.conf) as f:
    good_conf = f.read()
for more, words in (("wrokers = 3;", ("hub.conf:", "wrokers")), ('listen = "x";', ("hub.conf:",)), ("idle_s = 0;", ("idle_s",))):
    with open(hub.conf, "w") as f:
        f.write(good_conf + more + "\n")
    done = run("--config", hub.conf, "--check")
    tap.ok(done.returncode == 2 and all(word in done.stderr for word in words), f"--check names what is wrong: {more}", done)
with open(hub.conf, "w") as f:
    f.write(good_conf)

# ---- the sample: as it is, and with every commented-out key
with open(os.path.join(os.environ["KH_SOURCE_ROOT"], "conf", "hub.conf"), encoding="utf-8") as f:
    sample = f.read()
every = re.sub(r"^( *)# (\w+ = [^\n]*;)", r"\1\2", sample, flags=re.M)
for text, name in ((sample, "conf/hub.conf is read"), (every, "so is each key that it shows commented out")):
    path = os.path.join(hub.root, "sample.conf")
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)
    done = run("--config", path, "--check")
    tap.ok(done.stderr == "" and "\nsandbox " in done.stdout, name, done)
tap.ok(every.count("\n") == sample.count("\n") and len(re.findall(r"^ *\w+ = ", every, re.M)) >= 30, "it shows them all", len(re.findall(r"^ *\w+ = ", every, re.M)))

# ---- the key
os.chmod(os.path.join(hub.root, "hub.key"), 0o644)
done = run("--config", hub.conf, "--check")
tap.ok(done.returncode == 2 and "chmod 600" in done.stdout, "--check sees a key that others can read", done)
refused(hub, 2, ("hub.key", "chmod 600"), "a key that others can read is refused")
os.chmod(os.path.join(hub.root, "hub.key"), 0o600)

# ---- on an absent directory
hub.start()
tap.same((os.path.exists(hub.data + "/format"), hub.call(None, "GET", "/health")[0], hub.call(None, "GET", "/ready")[0]), (True, 200, 200),
         "an absent directory is made and served")
tap.same(hub.call(None, "GET", "/v1/me")[0], 401, "without a certificate there is nothing more")

# ---- commands beside it
done = hub.kanhe("--wait", "0.2", "party", "add", "--id", 1, "--role", "regulator", "--name", "R")
url = f"https://127.0.0.1:{hub.port}"
tap.ok(done.returncode == 3 and str(hub.pid) in done.stderr and f"--connect {url}" in done.stderr and "kanhed" in done.stderr,
       "a command that wants to write is told the pid and --connect", done.stderr)
tap.same(hub.kanhe("party", "list").returncode, 0, "a command that reads needs no lock")
with open(hub.data + "/lock") as f:
    tap.same(f.read(), f"{hub.pid}\n{url}\n", "DIR/lock holds pid and URL")

# ---- another kanhed on the same directory
other = Hub(parties=False, data=hub.data)
begun = time.time()
refused(other, 3, (str(hub.pid), url), "a second kanhed on the directory is refused, with pid and URL")
other.close()
tap.same(hub.call(None, "GET", "/ready")[0], 200, "and the first one is not disturbed")
tap.same(hub.stop(), 0, "SIGTERM: 0")
hub.register()
tap.same(hub.kanhe("party", "list").returncode, 0, "the directory is free again")

# ---- a second start on the same port
hub.start()
port = hub.port
clash = Hub(keys=f'listen = "127.0.0.1:{port}";', without=("listen",), parties=False)
refused(clash, 3, (str(port), "in use"), "a port that is taken: 3, named")
clash.close()

# ---- SIGTERM under load loses nothing
N = 200
status, answer = hub.call(1, "POST", "/v1/documents?name=d.csv", declarations(N), kind="text/csv")
tap.ok(status == 200, "documents are imported", answer)
load = Load(hub, 11, N)
load.wait(100)
status = hub.stop()
acknowledged = load.end()
rows, _ = hub.kanhe_rows("finance", "list", "--as", 11)
tap.same(status, 0, "SIGTERM under load: 0")
tap.ok(len(acknowledged) > 20 and acknowledged <= {r["id"] for r in rows}, f"each of {len(acknowledged)} acknowledged operations is there",
       (len(acknowledged), len(rows), sorted(acknowledged - {r["id"] for r in rows})[:5]))
tap.ok(not any(s >= 500 and s != 503 for s in load.statuses), "nobody was answered 500", load.statuses)
audit, status = hub.kanhe_rows("audit")
tap.same((audit[0]["ok"], status), (True, 0), "audit")
tap.same([e["event"] for e in hub.events()][-2:], ["stopping", "stopped"], "the log says so")

# ---- two SIGTERMs
hub.start()
load = Load(hub, 11, N, first_id=100000)
load.wait(10)
hub.tell(signal.SIGTERM)
time.sleep(0.01)
tap.same(hub.stop(), 0, "a second SIGTERM changes nothing: 0")
load.end()

# ---- SIGKILL under load, start again
everything = acknowledged | load.acknowledged
for attempt in range(3):
    hub.start()
    load = Load(hub, 11, N, first_id=1000 * (attempt + 1) + 200000)
    time.sleep(0.4 + 0.3 * attempt)
    hub.stop(signal.SIGKILL)
    everything |= load.end()
hub.start()
rows = [r["id"] for r in hub.kanhe_rows("finance", "list", "--as", 11)[0]]
tap.ok(everything <= set(rows), f"after kills each of {len(everything)} acknowledged operations is there", sorted(everything - set(rows))[:5])
tap.same(len(rows), len(set(rows)), "each once")

# ---- the supervisor
tap.same(hub.stop(signal.SIGINT), 0, "SIGINT: 0")
path = os.path.join(hub.root, "notify")
told = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
told.bind(path)
told.settimeout(30)
hub.start(env={**os.environ, "NOTIFY_SOCKET": path})
heard = told.recv(4096).decode()
while "READY=1" not in heard:
    heard += told.recv(4096).decode()
hub.stop()
while "STOPPING=1" not in heard:
    heard += told.recv(4096).decode()
tap.ok(heard.index("READY=1") < heard.index("STOPPING=1") and "WATCHDOG=1" in heard, "a supervisor hears READY, WATCHDOG and STOPPING", heard)
told.close()
hub.close()

# ---- a new certificate, without a restart
hub = Hub()
hub.start()
kept = hub.client(11)
kept.call("GET", "/v1/me")
before = ssl.get_server_certificate((hub.host, hub.port))
os.rename(hub.authority.path("hub.key"), hub.authority.path("old.key"))
hub.tell(signal.SIGHUP)
deadline = time.time() + 60
while "certificate_not_renewed" not in hub.said() and time.time() < deadline:
    time.sleep(0.02)
tap.same(ssl.get_server_certificate((hub.host, hub.port)), before, "SIGHUP without a key: the old certificate stays")
hub.authority.sign("hub", "/O=Kanhe/CN=hub", "subjectAltName=IP:127.0.0.1")
with open(hub.authority.path("hub.pem")) as f:
    new = f.read()
hub.tell(signal.SIGHUP)
deadline = time.time() + 60
while ssl.get_server_certificate((hub.host, hub.port)) == before and time.time() < deadline:
    time.sleep(0.05)
tap.same(ssl.get_server_certificate((hub.host, hub.port)), new, "SIGHUP: new connections get the new certificate")
tap.same((kept.call("GET", "/v1/me")[0], hub.call(11, "GET", "/v1/me")[0]), (200, 200), "open connections go on, new ones come")
tap.ok({"certificate_renewed", "certificate_not_renewed"} <= {e["event"] for e in hub.events()}, "the log says both", hub.events())
kept.close()

# ---- freezing a party ends its sessions
def sessions():
    text = hub.call(1, "GET", "/metrics", headers={})[1]
    return int(re.search(r"^kanhe_sessions (\d+)$", text, re.M)[1])


for party in (11, 12, 12):
    hub.call(party, "POST", "/v1/sessions", {})
had = sessions()
status, answer = hub.call(1, "POST", "/v1/parties/12/freeze", {})
deadline = time.time() + 60
while sessions() > 1 and time.time() < deadline:
    time.sleep(0.1)
tap.same((had, status, sessions()), (3, 200, 1), "freezing a party ends its sessions, and no other's")

# ---- a backup while it runs, as OPERATIONS.md says; restored, audited, served
hub.call(1, "POST", "/v1/documents?name=d.csv", declarations(N), kind="text/csv")
load = Load(hub, 11, N)
load.wait(50)
hub.call(1, "POST", "/v1/snapshot", {})
with load.lock:
    acknowledged = set(load.acknowledged)
backup = os.path.join(hub.root, "backup")
rows, status = hub.kanhe_rows("backup", backup)
load.end()
kept_data, hub.data = hub.data, backup
tap.ok(status == 0 and [row.get("directory") for row in rows][:1] == [backup] and rows[-1].get("ok"), "a backup made under load passes the audit", rows)
tap.same(os.stat(backup).st_mode & 0o777, 0o700, "and is nobody else's to read")
rows, status = hub.kanhe_rows("audit")
tap.ok(status == 0 and rows[0]["ok"], "which anybody can do again", rows)
rows = {r["id"] for r in hub.kanhe_rows("finance", "list", "--as", 11)[0]}
tap.ok(acknowledged and acknowledged <= rows, f"each of {len(acknowledged)} operations acknowledged before it is in it", sorted(acknowledged - rows)[:5])
hub.data = kept_data
hub.stop()
restored = Hub(parties=False, data=backup)
restored.start()
tap.same(restored.call(None, "GET", "/ready")[0], 200, "and it is served")
tap.same(restored.stop(), 0, "and stopped")
restored.close()
hub.close()

# ---- the log as a file, opened again; and no business data in it
hub = Hub(keys='log = "kanhed.log"; log_requests = true; metrics_listen = "127.0.0.1:0";')
hub.start()
log = os.path.join(hub.root, "kanhed.log")
hub.call(201, "POST", "/v1/documents?name=secret-file-name.csv", declarations(20, amount="76543.21"), kind="text/csv")
bank = hub.client(11)
bank.apply(4242424242, 1, "76500.00")
bank.apply(4242424243, 1, "76500.00")
bank.apply(4242424244, 999, "1.00")
bank.call("POST", "/v1/verify?name=questions.csv", declarations(30, amount="76543.21"), kind="text/csv")
bank.call("GET", f"/v1/balance?document=export_declaration:{declaration(3)}&owner={USCC_A}&amount=76543.21")
bank.call("GET", f"/v1/nothing/{declaration(3)}")
bank.call("POST", "/v1/financings", {"id": 1, "unheard_of": declaration(4)})
bank.call("POST", "/v1/financings/4242424242/reject", {"reason": "fraud_suspected"})
bank.close()
hub.call(1, "GET", f"/v1/history?document=export_declaration:{declaration(1)}")
status, scraped = hub.call(1, "GET", "/metrics", headers={})
root = os.environ["KH_SOURCE_ROOT"]
with open(f"{root}/docs/OPERATIONS.md", encoding="utf-8") as f:
    manual = f.read()
with open(f"{root}/conf/prometheus-alerts.yaml", encoding="utf-8") as f:
    alerts = f.read()
names = {line.split("{")[0].split(" ")[0] for line in scraped.splitlines() if line and line[0] != "#"}
explained = set(re.findall(r"`(kanhe_[a-z_]+)", manual))
tap.same((sorted(names - explained), len(names) > 40), ([], True), "OPERATIONS.md explains every metric")
tap.same(sorted(set(re.findall(r"kanhe_[a-z_]+", alerts)) - names), [], "the alerts ask for metrics that there are")
tap.same(sorted(set(re.findall(r"alert: (\w+)", alerts)) ^ set(re.findall(r"\n\| (Kanhe\w+) \|", manual))), [], "and OPERATIONS.md explains each alert")
os.rename(log, log + ".1")
hub.tell(signal.SIGUSR1)
deadline = time.time() + 60
while not os.path.exists(log) and time.time() < deadline:
    time.sleep(0.02)
hub.call(None, "GET", "/health")
hub.stop()
lines = open(log + ".1").read() + open(log).read()
tap.ok("log_reopened" in open(log).read() and "stopped" in open(log).read(), "SIGUSR1 opens the log again", open(log).read())
events = [json.loads(line) for line in lines.splitlines()]
tap.ok(all({"time", "level", "event"} <= set(e) for e in events), "each line is an object with time, level and event")
tap.same(sorted({e["event"] for e in events} - set(re.findall(r"`([a-z_]+)`", manual))), [], "OPERATIONS.md explains every event")
tap.ok(sum(e["event"] == "request" for e in events) >= 10, "requests are logged where that is asked for")
found = [word for word in ("31012026", "76543", "76500", "42424242", USCC_A, "Exporter", "Bank A", "export_declaration", "fraud", "secret-file", "PRIVATE KEY")
         if word in lines]
tap.same(found, [], "no numbers, names, amounts or ids in the log")
hub.close()
tap.end()
