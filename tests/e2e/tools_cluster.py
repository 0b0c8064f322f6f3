"""tools/cluster: up makes a cluster and says in env.json what it is; kill leaves no process of a node, start brings it back; the rest goes on
meanwhile; down leaves none; up again goes on, after a SIGKILL of all too; a stopped directory moves up. As root: partitions."""
from town import *

tap = Tap()
root = tempfile.mkdtemp(prefix="kanhe-town-")
town, moved, cut = (Town(root, name) for name in ("a town", "moved", "cut"))


def alive(home):
    """Processes whose words name a node's home, or that supervise it."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline") as f:
                words = f.read().split("\0")[:-1]
            with open(f"/proc/{pid}/stat") as f:
                zombie = f.read().rsplit(")", 1)[1].split()[0] == "Z"
        except OSError:
            continue
        if not zombie and (any(word.startswith(home + "/") for word in words) or words[-3:] == ["supervise", os.path.dirname(os.path.dirname(home)), os.path.basename(home)]):
            found.append(int(pid))
    return sorted(found)


def heights(of=town):
    lines = of.tool("status")[1].splitlines()[1:]
    return {line.split()[0]: int(line.split()[3]) for line in lines}


def rises(name, of=town, seconds=120):
    """Does a node get blocks above what it has now?"""
    before = heights(of)[name]
    return of.until(lambda: heights(of)[name] > before, seconds)


def first_up():
    tap.same(subprocess.run([TOOL], capture_output=True).returncode, 2, "without words: its usage")
    tap.same(town.tool("up", "--banks", "many")[0], 2, "a number of banks that is none")
    tap.same(Town(root, ".").tool("status")[0], 3, "a folder without a cluster")
    if not town.well(tap, "up", "up"):
        tap.end()
    town.look()
    where, e = town.dir, town.env()
    tap.same(sorted(e), sorted(["url", "ca", "ca_key", "pid", "metrics", "genesis", "nodes", "parties"]), "env.json has its keys")
    tap.same([(n["name"], n["role"]) for n in e["nodes"]], [("hub1", "hub")] + [(f"bank{i}", "bank") for i in (11, 12, 13, 14)], "a hub and four banks")
    tap.same([(p["id"], p.get("node")) for p in e["parties"]], [(1, None)] + [(i, f"bank{i}") for i in (11, 12, 13, 14)] + [(i, None) for i in (101, 102, 103, 201)], "each bank has its node")
    tap.same([p["id"] for p in e["parties"] if "sign" in p], [1, 101, 102, 103, 201], "all but banks have a key of their own to sign with")
    tap.same([alive(os.path.join(where, n["home"])) for n in e["nodes"]], [n["pids"] for n in e["nodes"]], "the pids are all of a node's processes")
    tap.same([len(n["pids"]) for n in e["nodes"]], [3] * 5, "a supervisor, kanhed, CometBFT")
    secrets = [*(os.path.join(where, p["sign"]) for p in e["parties"] if "sign" in p), os.path.join(where, "officers", "1.key"), os.path.join(where, "links.key"), os.path.join(where, e["ca_key"]), where,
               *(os.path.join(where, n["home"], "keys", name) for n in e["nodes"] for name in os.listdir(os.path.join(where, n["home"], "keys")))]
    tap.ok(all(os.stat(file).st_mode & 0o77 == 0 for file in secrets), "secrets are nobody else's to read")
    tap.same(sorted(os.listdir(os.path.join(where, "nodes/hub1/keys"))), ["attest.key", "box.key", "comet.key", "comet_node.key", "disk.key", "group.1.key", "sender.key"], "a hub's keys")
    tap.same(sorted(os.listdir(os.path.join(where, "nodes/bank11/keys"))), ["ack.key", "box.key", "comet.key", "comet_node.key", "disk.key", "sender.key"], "a bank's keys: not the hubs'")
    tap.same([town.tool("up", *words)[0] for words in (("--banks", "5"), ("--hubs-speak",), ("--from", root), ("--checkpoint-blocks", "7"))], [2] * 4, "another up may not make it another cluster")
    tap.same(town.raw("hub1", 201, "import", town.write("d.csv", declarations(3))).returncode, 0, "the source imports through a hub")
    said = lambda: town.audits([n["name"] for n in e["nodes"]])
    tap.ok(town.until(lambda: len({(line.get("digest"), line.get("attested_height", 0) > 0) for line in said()}) == 1), "one digest at every node")


def one_dies():
    before, where = town.node("bank12"), town.dir
    town.well(tap, "kill", "kill", "bank12")
    tap.same((alive(town.home("bank12")), town.node("bank12")["pids"]), ([], []), "kill leaves no process of the node")
    tap.same(town.tool("status")[0], 1, "status says that not all serve")
    tap.ok(rises("bank11"), "the others go on")
    status, told = town.tool("start", "bank12", "--from-peers")
    tap.ok(status == 3 and "no other node has a snapshot yet" in told and os.path.isdir(town.home("bank12", "data", "order")), "nothing is put aside for a snapshot that nobody has", (status, told))
    town.well(tap, "start", "start", "bank12")
    tap.ok(len(town.node("bank12")["pids"]) == 3 and not set(town.node("bank12")["pids"]) & set(before["pids"]), "start renews its pids")
    tap.ok(rises("bank12"), "and it goes on")
    known = town.node("bank13")["pids"]
    os.kill(next(pid for pid in known if os.path.basename(os.path.realpath(f"/proc/{pid}/exe")) == "cometbft"), signal.SIGKILL)
    now = lambda: town.node("bank13")["pids"]
    renewed = lambda: len(now()) == 3 and len(set(known) & set(now())) == 1 and now() == alive(os.path.join(where, "nodes/bank13"))
    tap.ok(town.until(renewed), "CometBFT ended: it and kanhed are new, the supervisor is not", (known, now()))


def a_disk_fills_up():
    """The supervisor outlives a full disk, says that it is full, and brings the node back when it is not any more."""
    home = town.home("bank14")
    town.well(tap, "kill it", "kill", "bank14")
    shutil.move(home, home + ".was")
    os.mkdir(home, 0o700)
    used = int(subprocess.run(["du", "-sm", home + ".was"], capture_output=True, text=True, check=True).stdout.split()[0])
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={used + 64}m", "kanhe", home], check=True)
    try:
        subprocess.run(["cp", "-a", home + ".was/.", home], check=True)
        town.well(tap, "a node on a small disk", "start", "bank14")
        shown = lambda: next(line for line in town.tool("status")[1].splitlines() if line.startswith("bank14"))
        supervisor = shown().split()[6]
        subprocess.run(["dd", "if=/dev/zero", f"of={home}/fill", "bs=64k"], capture_output=True)
        tap.ok(town.until(lambda: "is full" in shown() and supervisor in shown()), "a full disk: its supervisor lives, and status says what it is", shown())
        tap.ok(rises("bank11"), "the others go on")
        os.remove(home + "/fill")
        tap.ok(town.until(lambda: shown().split()[2] == "serving" and set(map(int, shown().split()[6:])) == set(town.node("bank14")["pids"])), "room again: it comes back by itself", shown())
        tap.ok(rises("bank14"), "and goes on")
    finally:
        town.well(tap, "kill it again", "kill", "bank14")
        kept = shutil.copytree(home, home + ".kept", symlinks=True, ignore=shutil.ignore_patterns("fill", "*.sock"))
        subprocess.run(["umount", home], check=True)
        os.rmdir(home)
        os.rename(kept, home)
        shutil.rmtree(home + ".was")
    town.well(tap, "start it where it was", "start", "bank14")


def all_die():
    for pid in town.pids():
        os.kill(pid, signal.SIGKILL)
    before = max(heights().values())
    town.well(tap, "up after a SIGKILL of all", "up")
    tap.ok(rises("hub1") and max(heights().values()) > before, "it goes on where it was")
    tap.ok(town.rows("hub1", 11, "party", "list")[0], "and answers")
    town.well(tap, "down", "down")
    tap.same([alive(town.path(n["home"])) for n in town.env()["nodes"]], [[]] * 5, "down leaves no process")
    tap.same([n["pids"] for n in town.env()["nodes"]], [[]] * 5, "and says so")
    address = town.urls["bank12"].removeprefix("https://").rpartition(":")[0]
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind((address, 26656))
        other.listen()
        status, said = town.tool("up")
        tap.ok(status == 3 and f"bank12: another program has {address}:26656" in said, "up where another program has a node's port says so", said)
        tap.same([alive(town.path(n["home"])) for n in town.env()["nodes"]], [[]] * 5, "and starts nothing")


def moves_up():
    data = os.path.join(root, "data")
    run = lambda *words: subprocess.run([COMMAND, "--data", data, "--json", *words], capture_output=True, text=True, check=True).stdout
    run("init")
    for id_, role in ((7, "regulator"), (21, "bank"), (901, "bank"), (35, "source")):
        run("party", "add", "--id", str(id_), "--role", role, "--name", f"Party {id_}")
    run("rate", "set", "EUR", "USD", "1.0834", "--date", "2026-11-24", "--source", "ECB")
    digest = json.loads(run("audit"))
    if not moved.well(tap, "up --from", "up", "--from", data, "--suite", "gm", "--hubs-speak"):
        return
    moved.look()
    tap.same(list(moved.urls), ["hub1", "bank21", "bank901"], "a node a bank; members keep their ids")
    with open(moved.genesis) as f:
        genesis = json.load(f)
    tap.same(genesis["consensus_params"]["block"]["max_bytes"], "1048576", "a block is a MiB at most")
    begin = genesis["app_state"]["kanhe"]
    tap.same((begin["suite"], begin["hubs_speak"], genesis["initial_height"], [m["id"] for m in begin["members"]]), ("gm", True, str(digest["height"] + 1), [7, 21, 35, 901, 902]), "it begins above what was")
    tap.same(len(begin["public"]), 1, "the rate is public")
    tap.same(moved.row("hub1", 7, "audit")[0]["content_digest"], digest["content_digest"], "the content is the same")
    add = ("party", "add", "--id", 77, "--role", "enterprise", "--name", "Party 77", "--uscc", "77777777XX")
    tap.same([moved.row("hub1", 7, *add, signed=signed)[1] for signed in (False, True)], [0, 0], "its hub speaks for the regulator, who may sign as well")
    moved.well(tap, "down again", "down")


def cut_off():
    if not cut.well(tap, "up --netns", "up", "--netns"):
        return
    cut.look()
    papers = cut.write("papers.csv", declarations(2))
    verified = lambda: (lambda rows, status: ([row["name"] for row in rows], status))(*cut.rows("bank11", 11, "verify", papers))
    tap.same(verified(), (["NOT_FOUND"] * 2, 1), "a bank's node asks its hub")
    cut.well(tap, "a partition", "partition", "bank11|bank12,bank13,bank14,hub1")
    tap.same(verified(), (["NOT_CHECKED"] * 2, 1), "a hub that is cut off says nothing, on the kept connection neither: the bank has its answer while its client waits")
    time.sleep(2)
    tap.ok(rises("hub1", cut), "those who are enough go on")
    tap.ok(not rises("bank11", cut, 4), "the one who is cut off does not")
    cut.well(tap, "heal", "heal")
    tap.ok(rises("bank11", cut), "and comes back")
    tap.same(cut.tool("partition", "bank11|bank11")[0], 2, "a node in two groups")
    cut.well(tap, "down in namespaces", "down")
    left = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True).stdout
    with open(cut.path("cluster.json")) as f:
        tap.ok(json.load(f)["tag"] not in left, "no namespace is left")


try:
    first_up()
    one_dies()
    if os.geteuid() == 0:
        a_disk_fills_up()
    all_die()
    moves_up()
    if os.geteuid() == 0:
        cut_off()
finally:
    for each in (town, moved, cut):
        if os.path.isdir(each.dir):
            each.tool("down")
    shutil.rmtree(root, ignore_errors=True)
tap.end()
