"""A body that nobody has any more: ordered, then damaged on every disk. One hub has executed it, the other cannot; officers order it lost: the one goes
back, both come to the same, the bank that sent it is told so, and everything behind it goes on."""
import struct
from town import *
from two_banks_town import op_apply

tap = Tap()
root = tempfile.mkdtemp(prefix="kanhe-lost-")
town = Town(root, "town", "--hubs", "2")
HEAD_SZ = 88  # of a body's record (docs/FORMAT.md)


def records(path):
    """(where its envelope begins, how long it is) of each record of a file of bodies."""
    with open(path, "rb") as f:
        data = f.read()
    found, at = [], 0
    while data[at:at + 4] == b"KHB1":
        size = struct.unpack_from("<I", data, at + 4)[0]
        found.append((at + HEAD_SZ, size))
        at += (HEAD_SZ + size + 7) // 8 * 8
    return found


def spoil_newest(name):
    """One byte of the newest body that a node stored."""
    folder = town.home(name, "data/bodies")
    path = os.path.join(folder, max(os.listdir(folder)))
    begin, size = records(path)[-1]
    with open(path, "r+b") as f:
        f.seek(begin + size - 20)
        byte = f.read(1)
        f.seek(begin + size - 20)
        f.write(bytes([byte[0] ^ 0xFF]))


def begins():
    if not town.well(tap, "up", "up", *town.words):
        tap.end()
    town.look()
    tap.same(town.raw("hub1", 201, "import", town.write("d.csv", declarations(3))).returncode, 0, "the source imports")
    row, _ = town.apply(12, 1, "100.00", f"export_declaration:{declaration(1)}")
    tap.same((row.get("code"), row.get("attested")), (0, True), "a bank is granted what it asks")


def posts(node, party, frames):
    context = ssl.create_default_context(cafile=town.ca)
    context.load_cert_chain(*town.certificates[party])
    host, port = town.urls[node].removeprefix("https://").rsplit(":", 1)
    connection = http.client.HTTPSConnection(host, int(port), context=context, timeout=30)
    connection.request("POST", "/v1/operations", frames, {"Content-Type": "application/octet-stream"})
    response = connection.getresponse()
    said = json.loads(response.read())
    connection.close()
    return response.status, said


def elsewhere():
    """A bank at another bank's node."""
    row, status = town.row("bank12", 11, "finance", "apply", "--id", 1, "--enterprise", 101, "--product", "p", "--amount", "1.00", "--currency", "USD", "--doc", f"export_declaration:{declaration(1)}")
    tap.same((row.get("name"), status), ("NOT_AUTHORISED", 1), "a bank is told that the node is another's")
    tap.ok("another bank's" in town.said, "in so many words", town.said)
    status, said = posts("bank12", 11, op_apply(11, 1, 100, 101, b"\x01" * 16))
    tap.ok(status == 403 and '"NOT_AUTHORISED"' in json.dumps(said), "and so with frames of its own", (status, said))
    row, status = town.row("hub1", 1, "rule", "set", "hold_ttl_applied", "10h")
    tap.ok((row.get("name"), status) == ("NOT_AUTHORISED", 1) and "officers order" in town.said, "and the regulator who orders rules", town.said)


def ordered(*words):
    """A change that two officers sign; its row."""
    change = os.path.join(root, "change.json")
    tap.same(town.raw("bank12", 1, "change", *words, "-o", change).returncode, 0, f"a change: {words[0]}")
    for officer in (1, 3):
        subprocess.run([COMMAND, "change", "sign", change, "--officer", str(officer), "--key", town.path("officers", f"{officer}.key")], check=True, capture_output=True)
    return town.row("bank13", 1, "change", "submit", change)


def asks(bank, id_, answers):
    """A client that waits for its answer however long it takes."""
    row, status = town.apply(bank, id_, "100.00", f"export_declaration:{declaration(2)}", timeout=500, wait=400)
    answers[bank] = row.get("code"), row.get("name"), row.get("attested"), status


def put_aside():
    """A hub that begins again finds its damaged file, too, and says what to do: do it."""
    tap.ok(town.log_says("hub1", "not what was written"), "the damaged file is named at the start")
    why = next(e["why"] for e in town.events("hub1") if e["event"] == "not_started")
    tap.ok("put this file aside" in why, "and what to do with it", why)
    path = town.home("hub1", "data/bodies/00000000.bodies")
    os.rename(path, os.path.join(root, "aside"))


def lost():
    town.well(tap, "a hub dies", "kill", "hub2")
    before, answers = town.metric("kanhe_cluster_executed_height", "hub1"), {}
    clients = [threading.Thread(target=asks, args=(bank, id_, answers)) for bank, id_ in ((11, 1), (12, 2))]
    clients[0].start()
    tap.ok(town.until(lambda: town.metric("kanhe_cluster_executed_height", "hub1") > before), "one hub executes what a bank asks, the other is away")
    for name in ("hub1", "bank11", "bank12", "bank13", "bank14"):
        spoil_newest(name)
    clients[1].start()
    town.well(tap, "it is back", "start", "hub2")
    tap.ok(town.log_says("hub2", "body_missing"), "and says which body it lacks")
    said = next(e for e in town.events("hub2") if e["event"] == "body_missing")
    tap.same((said["sender"], answers), (11, {}), "whose it is; nobody is answered meanwhile")
    row, status = ordered("lost", "--digest", said["digest"])
    tap.same((row.get("result"), status), ("OK", 0), "officers order it lost")
    row, status = ordered("lost", "--digest", said["digest"])
    tap.same((row.get("result"), status), ("REFUSED", 1), "a second time is refused")
    tap.ok(town.log_says("hub1", "EXECUTION_GOES_BACK"), "the hub that executed it goes back")
    put_aside()
    for client in clients:
        client.join()
    tap.same(answers, {11: (78, "BODY_LOST", True, 1), 12: (0, "OK", True, 0)}, "its sender is told so, who came behind it is granted what it asked")
    asks(11, 1, answers)
    tap.same(answers[11], (0, "OK", True, 0), "and the sender, when it asks again")


def same():
    """Both hubs stand where the order does."""
    height = town.audit("hub2")["attested_height"]
    tap.ok(town.until(lambda: all(town.audit(hub).get("executed_height", 0) >= height for hub in ("hub1", "hub2"))), "both hubs execute on")
    one, other = town.audits(["hub1", "hub2"])
    tap.same([one[key] for key in ("content_digest", "log_digest", "entries")], [other[key] for key in ("content_digest", "log_digest", "entries")], "to the same")
    tap.same(len({town.audit(node, height)["digest"] for node in town.urls}), 1, "every node has the same order")
    rows = [town.row(f"bank{bank}", bank, "finance", "show", id_)[0] for bank, id_ in ((11, 1), (12, 1), (12, 2))]
    tap.same([(row.get("state"), row.get("attested")) for row in rows], [("APPLIED", True)] * 3, "banks see what they were answered")
    tap.ok(all("EXECUTION_GOES_BACK" in line for line in town.alerts()), "nobody is called a liar", town.alerts())


try:
    begins()
    elsewhere()
    lost()
    same()
finally:
    if os.path.isdir(town.dir):
        town.tool("down")
    shutil.rmtree(root, ignore_errors=True)
tap.end()
