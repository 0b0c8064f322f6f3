"""Hubs come and go: a hub whose machine is gone begins anew from a back-up of its keys, catches up from the others' blocks and bodies, comes to
the same content and goes on attesting without contradicting itself; a directory that is not the genesis' is refused."""
from town import *

tap = Tap()
root = tempfile.mkdtemp(prefix="kanhe-hubs-")
town = Town(root, "town")


def hold(bank, id_, number, amount):
    row, _ = town.apply(bank, id_, amount, f"export_declaration:{declaration(number)}")
    return row.get("code"), row.get("attested")


def begins():
    if not town.well(tap, "up", "up"):
        tap.end()
    town.look()
    tap.same(town.raw("hub1", 201, "import", town.write("d.csv", declarations(5))).returncode, 0, "the source imports")
    tap.same([hold(bank, number, number, "100.00") for bank, number in ((11, 1), (12, 2), (13, 3))], [(0, True)] * 3, "banks are granted what they ask")
    with open(town.genesis, encoding="utf-8") as f:
        said = json.load(f)["app_state"]["kanhe"]["checkpoint"]
    done = subprocess.run([COMMAND, "--data", town.path("beginning"), "--json", "audit"], capture_output=True, text=True)
    tap.same(json.loads(done.stdout)["checkpoint_digest"], said, "the genesis' checkpoint is the digest of the directory that hubs begin with")


def ordered(*words):
    """A change that two officers sign."""
    change = os.path.join(root, "change.json")
    tap.same(town.raw("bank12", 1, "change", *words, "-o", change).returncode, 0, f"a change: {words[0]}")
    for officer in (1, 2):
        subprocess.run([COMMAND, "change", "sign", change, "--officer", str(officer), "--key", town.path("officers", f"{officer}.key")], check=True, capture_output=True)
    done = town.raw("bank12", 1, "change", "submit", change)
    tap.ok('"OK"' in done.stdout, "is ordered", done.stdout + done.stderr)


def another_key():
    """Officers order an epoch whose key the hub does not have yet."""
    key = os.path.join(root, "group.2.key")
    public = subprocess.run([os.environ["KANHE_KEY"], "intl", "box", key], check=True, capture_output=True, text=True).stdout.strip()
    ordered("epoch", "--group", public)
    asked = threading.Thread(target=lambda: rows.append(hold(12, 6, 5, "100.00")))
    rows = []
    asked.start()
    tap.ok(town.log_says("hub1", "group_key_missing"), "the hub says that it lacks the key")
    target = town.home("hub1", "keys/group.2.key")
    shutil.copy2(key, target + ".new")
    os.rename(target + ".new", target)
    tap.ok(town.log_says("hub1", "group_key_read"), "and takes it without a restart")
    asked.join()
    tap.same(rows, [(0, True)], "what was asked meanwhile is answered")


def another_directory():
    """The dead hub's node, with a directory that has one rule more."""
    home = town.home("hub1")
    other = os.path.join(home, "other")
    shutil.copytree(town.path("beginning"), other)
    subprocess.run([COMMAND, "--data", other, "rule", "set", "hold_ttl_applied", "1d"], check=True, capture_output=True)
    with open(os.path.join(home, "node.conf"), encoding="utf-8") as f:
        text = f.read()
    with open(os.path.join(home, "other.conf"), "w", encoding="utf-8") as f:
        f.write(text.replace('data = "data"', 'data = "other"'))
    done = subprocess.run([KANHED, "--config", os.path.join(home, "other.conf")], capture_output=True, text=True, timeout=120)
    tap.ok(done.returncode != 0 and "another directory" in done.stdout + done.stderr, "a hub refuses a directory that is not the genesis'", done.stderr[-300:])


def replaced():
    before = town.audit("hub1")
    home, backup = town.home("hub1"), os.path.join(root, "keys")
    shutil.copytree(os.path.join(home, "keys"), backup)
    town.well(tap, "the hub dies", "kill", "hub1")
    another_directory()
    shutil.rmtree(home)
    tap.same(town.tool("replace-hub", "bank11")[0], 2, "a bank's node is no hub")
    tap.same(town.tool("replace-hub", "hub1", "--keys", town.dir)[0], 2, "a folder without keys")
    if not town.well(tap, "replace-hub", "replace-hub", "hub1", "--keys", backup):
        return
    tap.ok(town.until(lambda: town.audit("hub1").get("executed_height", 0) >= before["executed_height"]), "it catches up from the others")
    after = town.audit("hub1")
    tap.same(after["content_digest"], before["content_digest"], "to the same content")
    tap.same(hold(14, 4, 4, "100.00"), (0, True), "it attests what comes then")
    code, _ = hold(11, 5, 1, "950.00")
    tap.ok(code not in (0, None), "and knows what was held before", code)
    tap.same(town.alerts(), [], "nobody saw it say two things")


def record(id_, **other):
    """The words that say a member's record again, but for what is other."""
    with open(town.genesis, encoding="utf-8") as f:
        said = next(m for m in json.load(f)["app_state"]["kanhe"]["members"] if m["id"] == id_)
    said = {name: said[name] for name in ("id", "role", "name", "uscc", "sender", "ack", "attest", "box", "consensus") if said.get(name)} | other
    return [word for name, value in said.items() for word in (f"--{name}", value)]


def connection(at, party):
    context = ssl.create_default_context(cafile=town.ca)
    context.load_cert_chain(*town.certificates[party])
    host, port = town.urls[at].removeprefix("https://").rsplit(":", 1)
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
    tap.ok(town.log_says("hub1", "sessions_ended"), "the hub says that its sessions end")
    tap.ok(town.until(lambda: asked(source) is None), "the member's open connection is over")
    tap.same(asked(regulator), 200, "another's goes on")
    tap.ok(connection("hub1", 201) is not None, "it comes in again")


def expelled():
    """What a bank holds lapses when officers expel it."""
    def balance():
        return town.row("hub1", 1, "balance", f"export_declaration:{declaration(3)}")[0]
    code, _ = hold(14, 7, 3, "100000.00")
    tap.ok(code not in (0, None), "a paper that another bank holds a part of is not granted as a whole", code)
    free = balance()
    tap.same(free["held"], "100.00", "the bank's hold stands")
    ordered("member", *record(13, status="expelled"))
    tap.ok(town.until(lambda: balance()["held"] == "0.00"), "and lapses when it is expelled")
    tap.same(hold(14, 8, 3, balance()["free"]), (0, True), "all of the paper is there for another")


try:
    begins()
    another_key()
    replaced()
    other_keys()
    expelled()
finally:
    if os.path.isdir(town.dir):
        town.tool("down")
    shutil.rmtree(root, ignore_errors=True)
tap.end()
