"""A bank's node that lost all but its keys and configuration begins with its peers' snapshot, by CometBFT's state sync: it has no block
before it, the same digests as all others, its bank's view again, votes and sends; and goes on so after restarts."""
import glob
from town import *

tap = Tap()
root = tempfile.mkdtemp(prefix="kanhe-sync-")
town = Town(root, "town")
D = ["export_declaration:" + declaration(i) for i in range(200)]
NODES = ["hub1", "bank11", "bank12", "bank13", "bank14"]
applied = iter(range(1, 200))


def apply(bank, **more):
    number = next(applied)
    return number, town.apply(bank, number, "10.00", D[number], **more)


def snapshots(name):
    """{height: bytes} that a node keeps."""
    found = {}
    for path in glob.glob(town.home(name, "data", "snapshots", "*")):
        try:
            with open(path, "rb") as f:
                found[int(os.path.basename(path))] = f.read()
        except (OSError, ValueError):  # one that goes just now
            pass
    return found


def rpc(name, path):
    address = town.urls[name].removeprefix("https://").rsplit(":", 1)[0]
    connection = http.client.HTTPConnection(address, 26657, timeout=10)
    connection.request("GET", path)
    said = json.loads(connection.getresponse().read())["result"]
    connection.close()
    return said


def said(name, event):
    return [line for line in town.events(name) if line["event"] == event]


def one_digest():
    heights = [a.get("height", 0) for a in town.audits(NODES)]
    digests = {a.get("digest") for a in town.audits(NODES, min(heights))}
    return len(digests) == 1 and None not in digests


def financings(bank):
    rows, status = town.rows(f"bank{bank}", bank, "finance", "list")
    return [pick(row, "id", "state", "amount", "repaid") for row in rows] if status == 0 else None


def begins():
    town.up()
    tap.same(town.row("hub1", 201, "import", town.write("papers.csv", owned([(i, "1000.00") for i in range(200)])))[0].get("stored"), 200, "papers")
    for _ in range(3):
        tap.same(apply(12)[1][0].get("name"), "OK", "a bank applies")
    tap.same(town.event("accept", 12, 1)[1], 0, "and accepts one")
    while len(snapshots("bank11")) < 2:
        tap.same(apply(11)[1][0].get("name"), "OK", "others apply, while blocks come")
        time.sleep(2)
    height = max(snapshots("bank11"))
    tap.ok(town.until(lambda: all(height in snapshots(name) for name in NODES)), "every node makes snapshots")
    tap.same(len({snapshots(name)[height] for name in NODES}), 1, "of the same bytes")
    tap.same([int(rpc(name, "/status")["sync_info"]["earliest_block_height"]) for name in NODES],
             [int(rpc("bank11", "/genesis")["genesis"]["initial_height"])] * 5, "and its CometBFT keeps all blocks")


def loses_all():
    before = financings(12)
    tap.same(len(before or []), 3, "the bank has financings")
    town.must("kill", "bank12")
    shutil.rmtree(town.home("bank12", "data"))
    shutil.rmtree(town.home("bank12", "cometbft", "data"))
    tap.same(apply(11)[1][0].get("name"), "OK", "a bank's disk is lost; the others go on")
    town.must("start", "bank12", "--from-peers")
    town.look()
    taken = said("bank12", "snapshot_taken")
    tap.same(len(taken), 1, "its node takes a snapshot")
    first = int(rpc("bank12", "/status")["sync_info"]["earliest_block_height"])
    tap.ok(taken and first == taken[0]["height"] + 1, "and has no block before it", (first, taken))
    tap.ok(town.until(one_digest), "one digest at all nodes")
    past = taken[0]["height"] - 20 if taken else 0
    tap.same(town.audit("bank12", past).get("digest"), town.audit("bank11", past).get("digest"), "of before, too, as far as the order remembers")
    tap.ok(town.until(lambda: financings(12) == before, 60), "its bank's view is there again, from the hub", (financings(12), before, town.said))
    tap.same(town.alerts(), [], "and nobody is called a liar")
    return taken[0]["height"] if taken else 0


def takes_part(what):
    number, (row, status) = 0, ({}, 1)

    def sends():
        nonlocal number, row, status
        number, (row, status) = apply(12, wait=20)
        return row.get("name") == "OK"
    tap.ok(town.until(sends), f"it sends its bank's batches: {what}", (row, status, town.said))
    town.must("kill", "bank13")
    tap.same(apply(11)[1][0].get("name"), "OK", f"it votes and acknowledges bodies: without it nothing would be ordered now: {what}")
    town.must("start", "bank13")
    tap.ok(town.until(one_digest), f"one digest at all nodes: {what}")
    return number


def proves(before, number):
    receipt = town.prove(12, number, "after.json")
    row, status = town.check(receipt)
    tap.same((row.get("bank"), row.get("financing"), status), (12, number, 0), "a receipt of after the snapshot proves")
    done = town.raw("bank12", 12, "prove", before, "-o", os.path.join(root, "before.json"))
    tap.ok(done.returncode == 1 and "NOT_HERE" in done.stderr, "one of before says that its block is not here", (done.returncode, done.stderr))


def is_killed():
    """Both of its processes, at any moment; the snapshot that it began with stays its beginning."""
    pids = town.node("bank12")["pids"]
    for pid in pids[1:]:
        os.kill(pid, signal.SIGKILL)
    town.must("kill", "bank12")
    town.must("start", "bank12")
    tap.ok(town.until(one_digest), "killed and started: one digest at all nodes")
    tap.same(len(said("bank12", "snapshot_taken")), 1, "from what it has")


def a_giver_lies(name):
    """It offers an old snapshot as one of a height that is newer than all others'."""
    town.must("kill", name)
    newest = max(snapshots(name))
    height = int(rpc("bank11", "/status")["sync_info"]["latest_block_height"]) - 5
    os.rename(town.home(name, "data", "snapshots", str(newest)), town.home(name, "data", "snapshots", str(height)))
    town.must("start", name)
    return height


def was_away():
    """Its bank's view and its register go on; its old blocks are put aside."""
    before = financings(14)
    number = apply(14)[0]
    town.must("kill", "bank14")
    tap.same(apply(11)[1][0].get("name"), "OK", "a node is away")
    lies = a_giver_lies("bank13")
    for _ in range(3):  # it begins with what is offered within five seconds, which need not be the liar's
        town.must("start", "bank14", "--from-peers")
        if said("bank14", "snapshot_false"):
            break
        town.must("kill", "bank14")
    tap.same([line["height"] for line in said("bank14", "snapshot_false")], [lies], "a snapshot that is none is found out")
    taken = [line["height"] for line in said("bank14", "snapshot_taken")]
    tap.ok(taken and lies not in taken, "and another's is taken", taken)
    tap.ok(town.until(lambda: [row["id"] for row in financings(14) or []] == [row["id"] for row in before] + [number], 60), "its view goes on", (financings(14), town.said))
    tap.ok(town.until(one_digest), "one digest at all nodes")


def joins_and_loses_all():
    """One that is no member at the genesis, and is one by the snapshot."""
    town.must("add", "bank", "--name", "Bank Late")
    town.look()
    number = next(applied)
    tap.same(town.apply(15, number, "10.00", D[number])[0].get("name"), "OK", "a bank joins and applies")
    height = int(rpc("bank11", "/status")["sync_info"]["latest_block_height"])
    while max(snapshots("bank11")) <= height:
        tap.same(apply(11)[1][0].get("name"), "OK", "others apply, while blocks come")
        time.sleep(2)
    town.must("kill", "bank15")
    shutil.rmtree(town.home("bank15", "data"))
    shutil.rmtree(town.home("bank15", "cometbft", "data"))
    town.must("start", "bank15", "--from-peers")
    tap.same(len(said("bank15", "snapshot_taken")), 1, "its disk is lost, and its node begins with a snapshot")
    tap.ok(town.until(lambda: [row["id"] for row in financings(15) or []] == [number], 400), "it comes to know itself, and its bank's view is there", (financings(15), town.said))
    tap.ok(town.until(one_digest), "one digest at all nodes")
    done = town.raw("bank15", 15, "prove", number, "-o", os.path.join(root, "late.json"))
    tap.ok(done.returncode == 1 and "NOT_HERE" in done.stderr, "officers changed something before: it proves nothing", (done.returncode, done.stderr))


try:
    begins()
    height = loses_all()
    number = takes_part("at once")
    proves(1, number)
    is_killed()
    takes_part("after a restart")
    was_away()
    joins_and_loses_all()
    tap.same(town.alerts(), [], "nobody was called a liar")
finally:
    town.tool("down")
    if os.environ.get("KEEP") is None:
        shutil.rmtree(root, ignore_errors=True)
tap.end()
