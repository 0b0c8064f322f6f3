"""Hubs come and go: a hub whose machine is gone begins anew from a back-up of its keys, catches up from the others' blocks and bodies, comes to
the same content and goes on attesting without contradicting itself; a directory that is not the genesis' is refused."""
from hub import *

ROOT = os.environ["KH_SOURCE_ROOT"]
tap = Tap()
root = tempfile.mkdtemp(prefix="kanhe-hubs-")
where = os.path.join(root, "town")
os.environ.update(KANHE_BIN=COMMAND, KANHED_BIN=KANHED, KANHE_KEY_BIN=os.environ["KANHE_KEY"], KANHE_LEAF_BIN=os.environ["KANHE_LEAF"])


def tool(*words):
    done = subprocess.run([os.path.join(ROOT, "tools", "cluster"), *words], capture_output=True, text=True, timeout=400)
    return done.returncode, done.stdout + done.stderr


def well(what, *words):
    status, said = tool(*words)
    if not tap.same(status, 0, what):
        print("# " + said.replace("\n", "\n# "))
    return status == 0


def env():
    with open(os.path.join(where, "env.json"), encoding="utf-8") as f:
        return json.load(f)


def node(name):
    return next(n for n in env()["nodes"] if n["name"] == name)


def kanhe(at, party, *words):
    pair = next((p["cert"], p["key"]) for p in env()["parties"] if p["id"] == party)
    return subprocess.run([COMMAND, "--connect", node(at)["url"], "--ca", os.path.join(where, "ca.pem"), "--cert", os.path.join(where, pair[0]),
                           "--key", os.path.join(where, pair[1]), "--json", *map(str, words)], capture_output=True, text=True, timeout=180)


def audit(at="hub1"):
    return json.loads(kanhe(at, 1, "audit").stdout or "{}")


def hold(bank, id_, number, amount):
    done = kanhe(f"bank{bank}", bank, "finance", "apply", "--id", id_, "--enterprise", 101, "--product", "export_receivable", "--currency", "USD",
                 "--amount", amount, "--doc", f"export_declaration:{declaration(number)}")
    return json.loads(done.stdout.splitlines()[-1]) if done.stdout else {"stderr": done.stderr}


def alerts():
    """What nodes said of members that lie."""
    found = []
    for n in env()["nodes"]:
        with open(os.path.join(where, n["home"], "kanhed.log"), encoding="utf-8", errors="replace") as f:
            found += [line for line in f if "cluster_alert" in line]
    return found


def caught_up(height, seconds=120):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if audit().get("executed_height", 0) >= height:
            return True
        time.sleep(0.5)
    return False


def begins():
    if not well("up", "up", where):
        tap.end()
    with open(os.path.join(root, "d.csv"), "w") as f:
        f.write(declarations(5))
    tap.same(kanhe("hub1", 201, "import", os.path.join(root, "d.csv")).returncode, 0, "the source imports")
    first = [hold(bank, number, number, "100.00") for bank, number in ((11, 1), (12, 2), (13, 3))]
    tap.same([(row.get("code"), row.get("attested")) for row in first], [(0, True)] * 3, "banks are granted what they ask")
    with open(os.path.join(where, "genesis.json"), encoding="utf-8") as f:
        said = json.load(f)["app_state"]["kanhe"]["checkpoint"]
    done = subprocess.run([COMMAND, "--data", os.path.join(where, "beginning"), "--json", "audit"], capture_output=True, text=True)
    tap.same(json.loads(done.stdout)["checkpoint_digest"], said, "the genesis' checkpoint is the digest of the directory that hubs begin with")


def log_says(name, word, seconds=30):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        with open(os.path.join(where, node(name)["home"], "kanhed.log"), encoding="utf-8", errors="replace") as f:
            if word in f.read():
                return True
        time.sleep(0.2)
    return False


def ordered(*words):
    """A change that two officers sign."""
    change = os.path.join(root, "change.json")
    tap.same(kanhe("bank12", 1, "change", *words, "-o", change).returncode, 0, f"a change: {words[0]}")
    for officer in (1, 2):
        subprocess.run([COMMAND, "change", "sign", change, "--officer", str(officer), "--key", os.path.join(where, f"officers/{officer}.key")], check=True, capture_output=True)
    done = kanhe("bank12", 1, "change", "submit", change)
    tap.ok('"OK"' in done.stdout, "is ordered", done.stdout + done.stderr)


def another_key():
    """Officers order an epoch whose key the hub does not have yet."""
    key = os.path.join(root, "group.2.key")
    public = subprocess.run([os.environ["KANHE_KEY"], "intl", "box", key], check=True, capture_output=True, text=True).stdout.strip()
    ordered("epoch", "--group", public)
    asked = threading.Thread(target=lambda: rows.append(hold(12, 6, 5, "100.00")))
    rows = []
    asked.start()
    tap.ok(log_says("hub1", "group_key_missing"), "the hub says that it lacks the key")
    target = os.path.join(where, node("hub1")["home"], "keys/group.2.key")
    shutil.copy2(key, target + ".new")
    os.rename(target + ".new", target)
    tap.ok(log_says("hub1", "group_key_read"), "and takes it without a restart")
    asked.join()
    tap.same((rows[0].get("code"), rows[0].get("attested")), (0, True), "what was asked meanwhile is answered")


def another_directory():
    """The dead hub's node, with a directory that has one rule more."""
    home = os.path.join(where, node("hub1")["home"])
    other = os.path.join(home, "other")
    shutil.copytree(os.path.join(where, "beginning"), other)
    subprocess.run([COMMAND, "--data", other, "rule", "set", "hold_ttl_applied", "1d"], check=True, capture_output=True)
    with open(os.path.join(home, "node.conf"), encoding="utf-8") as f:
        text = f.read()
    with open(os.path.join(home, "other.conf"), "w", encoding="utf-8") as f:
        f.write(text.replace('data = "data"', 'data = "other"'))
    done = subprocess.run([KANHED, "--config", os.path.join(home, "other.conf")], capture_output=True, text=True, timeout=120)
    tap.ok(done.returncode != 0 and "another directory" in done.stdout + done.stderr, "a hub refuses a directory that is not the genesis'", done.stderr[-300:])


def replaced():
    before = audit()
    home, backup = os.path.join(where, node("hub1")["home"]), os.path.join(root, "keys")
    shutil.copytree(os.path.join(home, "keys"), backup)
    well("the hub dies", "kill", where, "hub1")
    another_directory()
    shutil.rmtree(home)
    tap.same(tool("replace-hub", where, "bank11")[0], 2, "a bank's node is no hub")
    tap.same(tool("replace-hub", where, "hub1", "--keys", where)[0], 2, "a folder without keys")
    if not well("replace-hub", "replace-hub", where, "hub1", "--keys", backup):
        return
    tap.ok(caught_up(before["executed_height"]), "it catches up from the others")
    after = audit()
    tap.same(after["content_digest"], before["content_digest"], "to the same content")
    row = hold(14, 4, 4, "100.00")
    tap.same((row.get("code"), row.get("attested")), (0, True), "it attests what comes then")
    row = hold(11, 5, 1, "950.00")
    tap.ok(row.get("code") not in (0, None), "and knows what was held before", row)
    tap.same(alerts(), [], "nobody saw it say two things")


def record(id_, **other):
    """The words that say a member's record again, but for what is other."""
    with open(os.path.join(where, "genesis.json"), encoding="utf-8") as f:
        said = next(m for m in json.load(f)["app_state"]["kanhe"]["members"] if m["id"] == id_)
    said = {name: said[name] for name in ("id", "role", "name", "uscc", "sender", "ack", "attest", "box", "consensus") if said.get(name)} | other
    return [word for name, value in said.items() for word in (f"--{name}", value)]


def connection(at, party):
    pair = next((p["cert"], p["key"]) for p in env()["parties"] if p["id"] == party)
    context = ssl.create_default_context(cafile=os.path.join(where, "ca.pem"))
    context.load_cert_chain(*(os.path.join(where, name) for name in pair))
    host, port = node(at)["url"].removeprefix("https://").rsplit(":", 1)
    opened = http.client.HTTPSConnection(host, int(port), context=context, timeout=60)
    return opened if asked(opened) == 200 else None


def asked(opened):
    """The status; None: the connection is over."""
    try:
        opened.request("GET", "/v1/me", headers=ACCESS_JSON)
        answer = opened.getresponse()
        answer.read()
        opened.auto_open = False
        return answer.status
    except (OSError, http.client.HTTPException):
        return None


def other_keys():
    """A source's new sender key ends what it has open, and nobody else's."""
    source, regulator = connection("hub1", 201), connection("hub1", 1)
    new = subprocess.run([os.environ["KANHE_KEY"], "intl", "sign", os.path.join(root, "new.key")], check=True, capture_output=True, text=True).stdout.strip()
    ordered("member", *record(201, sender=new))
    tap.ok(log_says("hub1", "sessions_ended"), "the hub says that its sessions end")
    tap.same((asked(source), asked(regulator)), (None, 200), "the member's open connection is over, another's goes on")
    tap.ok(connection("hub1", 201) is not None, "it comes in again")


def expelled():
    """What a bank holds lapses when officers expel it."""
    row = hold(14, 7, 3, "100000.00")
    tap.ok(row.get("code") not in (0, None), "a paper that another bank holds a part of is not granted as a whole", row)
    free = json.loads(kanhe("hub1", 1, "balance", f"export_declaration:{declaration(3)}").stdout.splitlines()[0])
    tap.same(free["held"], "100.00", "the bank's hold stands")
    ordered("member", *record(13, status="expelled"))
    until = time.monotonic() + 60
    while free["held"] != "0.00" and time.monotonic() < until:
        time.sleep(0.2)
        free = json.loads(kanhe("hub1", 1, "balance", f"export_declaration:{declaration(3)}").stdout.splitlines()[0])
    tap.same(free["held"], "0.00", "and lapses when it is expelled")
    row = hold(14, 8, 3, free["free"])
    tap.same((row.get("code"), row.get("attested")), (0, True), "all of the paper is there for another")


try:
    begins()
    another_key()
    replaced()
    other_keys()
    expelled()
finally:
    if os.path.isdir(where):
        tool("down", where)
    shutil.rmtree(root, ignore_errors=True)
tap.end()
