"""Commands side by side, kills in the middle, damage."""
import fcntl
import signal
import time
from kanhe import *

tap = Tap()
d = Directory()
K = "export_declaration:"
N = 20000
d.status("gen", "declarations", "--count", N, "--seed", 3, "-o", d.root + "/d.csv")
d.status("gen", "requests", "--count", N, "--seed", 3, "-o", d.root + "/r.csv")

# ---- a writer holds the lock: who waits, who does not
lock = os.path.join(d.data, "lock")
holder = open(lock, "r+")
fcntl.flock(holder, fcntl.LOCK_EX)
begun = time.time()
done = d.raw("--wait", "0.3", "party", "add", "--id", 50, "--role", "bank", "--name", "late")
tap.ok(done.returncode == 3 and "process" in done.stderr, "a writer that waits in vain ends with 3", done.stderr)
tap.same(d.status("party", "list"), 0, "a reader needs no lock")
waiting = subprocess.Popen([COMMAND, "--data", d.data, "--wait", "20", "party", "add", "--id", "50", "--role", "bank", "--name", "late"], stdout=subprocess.DEVNULL)
time.sleep(0.3)
still = waiting.poll() is None
fcntl.flock(holder, fcntl.LOCK_UN)
tap.same((still, waiting.wait(30)), (True, 0), "a writer that waits long enough gets its turn")

# ---- kill -9 in the middle of an import, and the import again
for delay in (0.01, 0.03, 0.06, 0.1):
    p = subprocess.Popen([COMMAND, "--data", d.data, "--json", "import", d.root + "/d.csv"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(delay)
    p.send_signal(signal.SIGKILL)
    p.wait()
row, status = d.row("import", d.root + "/d.csv")
tap.same((row.get("read"), row.get("stored", 0) + row.get("unchanged", 0), status), (N, N, 0), "import after kills")
tap.same(d.row("stats")[0].get("documents"), N, "each document once")

# ---- kill -9 in the middle of a request file: what was acknowledged is there
acknowledged = set()
for attempt in range(4):
    p = subprocess.Popen([COMMAND, "--data", d.data, "--json", "finance", "apply", "--as", "11", "--file", d.root + "/r.csv"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    time.sleep(0.02 + 0.04 * attempt)
    p.send_signal(signal.SIGKILL)
    text = p.communicate()[0].decode()
    for line in text[: text.rfind("\n") + 1].splitlines():
        row = json.loads(line)
        if row["code"] == 0:
            acknowledged.add(row["id"])
listed = {r["id"] for r in d.rows("finance", "list", "--as", 11)[0]}
tap.ok(acknowledged <= listed, f"all of {len(acknowledged)} acknowledged applications are there", sorted(acknowledged - listed)[:5])
rows, status = d.rows("finance", "apply", "--as", 11, "--file", d.root + "/r.csv")
tap.same((len(rows), {r["name"] for r in rows}, status), (N, {"OK"}, 0), "the file again: the same answers, nothing twice")
tap.same([r["line"] for r in rows[:3]], [2, 3, 4], "answers in the order of the file")
tap.same(d.row("stats")[0].get("financings"), N, "each financing once")

# ---- events from a file
with open(d.root + "/e.csv", "w") as f:
    f.write("id,event,amount,source,reason,expect\n")
    for r in rows[:100]:
        f.write(f"{r['id']},accept,,,,1\n{r['id']},approve,,,,2\n{r['id']},disburse,,,,3\n")
    f.write("1,accept,,,,\n2,frobnicate,,,,\n")
events, status = d.rows("finance", "events", "--as", 11, "--file", d.root + "/e.csv")
tap.same((len(events), status, [e["code"] for e in events[:300]], [e["code"] for e in events[300:]]), (302, 1, [0] * 300, [20, 10]), "events from a file")
again, _ = d.rows("finance", "events", "--as", 11, "--file", d.root + "/e.csv")
tap.same([e["code"] for e in again[:300]].count(0), 100, "sent again: the last event of each is harmless, the older ones are BAD_STATE")

# ---- the same content by another way has the same content digest
row, status = d.row("audit")
tap.same((row["ok"], status), (True, 0), "audit after kills")
other = Directory()
other.status("party", "add", "--id", 50, "--role", "bank", "--name", "late")
for part, lines in enumerate((slice(1, 9000), slice(9000, None))):
    text = open(d.root + "/d.csv").read().splitlines()
    other.row("import", other.file(f"part{part}.csv", text[0] + "\n" + "\n".join(text[lines]) + "\n"))
other.rows("finance", "apply", "--as", 11, "--file", d.root + "/r.csv")
other.rows("finance", "events", "--as", 11, "--file", d.root + "/e.csv")
tap.same(other.row("audit")[0]["content_digest"], row["content_digest"], "the same content digest, however it came")
tap.ok(other.row("audit")[0]["digest"] != row["digest"], "and its own outcome chain")
other.close()

# ---- who may only read
tap.same(d.status("snapshot"), 0, "snapshot")
doc = K + open(d.root + "/d.csv").read().splitlines()[1].split(",")[1]
asked = {words: d.raw("--json", *words).stdout for words in (("balance", doc), ("history", doc), ("stats",), ("finance", "list", "--as", 11), ("audit",))}
reader = os.path.join(d.root, "reader")
shutil.copy(COMMAND, reader)
root = os.geteuid() == 0


def readable(*but):
    """The directory as a user sees it who may read all of it, but for some, and write nothing."""
    os.chmod(d.root, 0o755)
    for folder, _, files in os.walk(d.data):
        os.chmod(folder, 0o555)
        for name in files:
            os.chmod(os.path.join(folder, name), 0 if name in but else 0o444)


def as_reader(*words):
    return subprocess.run([reader, "--data", d.data, "--json", *map(str, words)], capture_output=True, text=True, cwd="/", **({"user": 65534, "group": 65534, "extra_groups": []} if root else {}))


readable()
for boot in ("of this boot", "of another"):
    if boot == "of another":
        os.chmod(d.data, 0o755)
        os.rename(d.data + "/head", d.root + "/head")
        readable()
    for words, told in asked.items():
        done = as_reader(*words)
        if words == ("stats",):  # how much of log and journals is open is told too
            told, done.stdout = (pick(json.loads(text), "height", "documents", "open_financings") for text in (told, done.stdout))
        tap.ok((done.returncode, done.stdout) == (0, told), f"who may only read asks: {' '.join(map(str, words[:2]))}, the log {boot}", (done.returncode, done.stdout, done.stderr))
done = as_reader("rule", "set", "refusal_limit", "off")
tap.ok(done.returncode == 3 and "lock" in done.stderr, "but changes nothing", done.stderr)
readable("secret")
done = as_reader("stats")
tap.ok(done.returncode == 3 and "/secret may not be read" in done.stderr, "what may not be read is named", done.stderr)
readable()
for folder, _, files in os.walk(d.data):
    os.chmod(folder, 0o700)
    for name in files:
        os.chmod(os.path.join(folder, name), 0o600)

# ---- a damaged log
tap.same(d.row("stats")[0]["image_height"] > 0, True, "there is an image")
logs = os.path.join(d.data, "log")
name = sorted(n for n in os.listdir(logs) if os.path.getsize(os.path.join(logs, n)) > 8192)[0]
with open(os.path.join(logs, name), "r+b") as f:
    f.seek(4096 + 2000)
    byte = f.read(1)
    f.seek(4096 + 2000)
    f.write(bytes([byte[0] ^ 1]))
row, status = d.row("audit")
tap.ok(row.get("ok") is False and row.get("at") and row.get("why") and status != 0, "a damaged log: ok false, where and why", (row, status))
d.close()
tap.end()
