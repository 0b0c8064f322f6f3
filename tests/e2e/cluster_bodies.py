"""Bodies go: validators hold a checkpoint's state and a newer one, body_retention passes, and every node gives up what is before; nobody asks for it
again, not after a restart, not with an empty store. What the cluster knows stays: outputs, digests, receipts."""
from town import *

tap = Tap()
root = tempfile.mkdtemp(prefix="kanhe-bodies-")
town = Town(root, "town", "--checkpoint-blocks", "20")
NODES = ["hub1", "bank11", "bank12", "bank13", "bank14"]
PAPERS = 4000  # more than banks apply for in all the time that is waited
applied = iter(range(1, PAPERS))


def apply(bank):
    number = next(applied)
    row, _ = town.apply(bank, number, "10.00", f"export_declaration:{declaration(number)}", wait=30)
    return number, row.get("name")


def given_up(name):
    return town.metric("kanhe_cluster_bodies_given_up_height", name) or 0


def let_go(name):
    """The height up to which a node said that it let bodies go."""
    return max([line["height"] for line in town.events(name) if line["event"] == "bodies_given_up"], default=0)


def goes_on(condition, seconds=180):
    """While banks apply: what the order decides comes with its blocks."""
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        apply(11)
        apply(12)
        time.sleep(0.1)
    return condition()


def bodies(name):
    """The digests of the bodies in a node's files, in their order (docs/CLUSTER.md)."""
    folder, found = town.home(name, "data", "bodies"), []
    for file in sorted(os.listdir(folder)):
        with open(os.path.join(folder, file), "rb") as f:
            data = f.read()
        at = 0
        while data[at:at + 4] == b"KHB1":
            found.append(data[at + 32:at + 64])
            at += (88 + int.from_bytes(data[at + 4:at + 8], "little") + 7) // 8 * 8
    return found


def one_digest():
    heights = [a.get("height", 0) for a in town.audits(NODES)]
    digests = {a.get("digest") for a in town.audits(NODES, min(heights))}
    return len(digests) == 1 and None not in digests


def ordered(*words):
    """A change that two officers sign."""
    change = os.path.join(root, "change.json")
    tap.same(town.raw("bank12", 1, "change", *words, "-o", change).returncode, 0, f"a change: {words[0]}")
    for officer in (1, 3):
        subprocess.run([COMMAND, "change", "sign", change, "--officer", str(officer), "--key", town.path("officers", f"{officer}.key")], check=True, capture_output=True)
    tap.same(town.row("bank13", 1, "change", "submit", change)[0].get("result"), "OK", "officers order it")


def begins():
    town.up()
    tap.same(town.row("hub1", 201, "import", town.write("papers.csv", owned([(i, "1000.00") for i in range(PAPERS)])))[0].get("stored"), PAPERS, "papers")
    tap.same(apply(12), (1, "OK"), "a bank applies")
    tap.ok(goes_on(lambda: (town.metric("kanhe_cluster_state_held_height", "bank11") or 0) > 0), "a checkpoint's state comes to be held")
    tap.ok(town.until(lambda: town.metric("kanhe_cluster_state_held_height", "hub1") == town.metric("kanhe_cluster_state_held_height", "bank14")), "by the order, and so at every node")
    tap.same([given_up(name) for name in NODES], [0] * 5, "a month has not passed: no body goes")


def bodies_go():
    ordered("rule", "--name", "body_retention", "--value", "8s")
    tap.ok(goes_on(lambda: given_up("bank11") > 0), "eight seconds behind two states that are held the order gives bodies up")
    height = given_up("bank11")
    tap.ok(goes_on(lambda: all(let_go(name) >= height for name in NODES)), "every node lets them go, the hub too", [let_go(name) for name in NODES])
    tap.ok(given_up("hub1") < (town.metric("kanhe_cluster_state_held_height", "hub1") or 0), "and what is above the state before the newest stays")


def a_restart():
    newest = bodies("bank12")[-1]
    town.until(lambda: all(newest in bodies(name) for name in ("bank13", "hub1")))  # the others do not wait for every node
    for name in ("bank13", "hub1"):
        town.must("kill", name)
        town.must("start", name)
    tap.ok(town.until(one_digest), "a bank's node and the hub are killed and go on")
    tap.same([town.metric("kanhe_cluster_bodies_wanted_total", name) for name in ("bank13", "hub1")], [0, 0], "and ask for no body")


def an_empty_store():
    """A node whose bodies are lost fetches those that the order has not given up, and no other."""
    town.must("kill", "bank14")
    shutil.rmtree(town.home("bank14", "data", "bodies"))
    town.must("start", "bank14")
    tap.ok(town.until(one_digest), "a node whose bodies are lost goes on")
    tap.ok(goes_on(lambda: apply(14)[1] == "OK", 60), "and sends")
    wanted = lambda: town.metric("kanhe_cluster_bodies_wanted_total", "bank14")
    rests = lambda before: time.sleep(2) or before == wanted()
    tap.ok(town.until(lambda: rests(wanted())), "it asks for nothing that nobody gives")
    first, has = bodies("bank12"), set(bodies("bank14"))
    tap.ok(first[0] not in has and first[-1] in has and has < set(first), "what went is not there, what stays is", (len(first), len(has)))


def what_stays():
    row, status = town.check(town.prove(12, 1, "first.json"))
    tap.same((row.get("bank"), row.get("financing"), status), (12, 1, 0), "a receipt of a body that is gone proves")
    tap.same(town.alerts(), [], "and nobody is called a liar")


try:
    begins()
    bodies_go()
    a_restart()
    an_empty_store()
    what_stays()
finally:
    town.tool("down")
    if os.environ.get("KEEP") is None:
        shutil.rmtree(root, ignore_errors=True)
tap.end()
