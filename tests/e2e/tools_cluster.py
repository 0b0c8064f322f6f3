"""tools/cluster: up makes a cluster and says in env.json what it is; kill leaves no process of a node, start brings it back; the rest goes on
meanwhile; down leaves none; up again goes on, after a SIGKILL of all too; a stopped directory moves up. As root: partitions."""
import signal
import time
from hub import *

ROOT = os.environ["KH_SOURCE_ROOT"]
tap = Tap()
root = tempfile.mkdtemp(prefix="kanhe-town-")
where = os.path.join(root, "a town")
os.environ.update(KANHE_BIN=COMMAND, KANHED_BIN=KANHED, KANHE_KEY_BIN=os.environ["KANHE_KEY"], KANHE_LEAF_BIN=os.environ["KANHE_LEAF"])


def tool(*words):
    done = subprocess.run([os.path.join(ROOT, "tools", "cluster"), *words], capture_output=True, text=True, timeout=400)
    return done.returncode, done.stdout + done.stderr


def well(what, *words):
    status, said = tool(*words)
    if not tap.same(status, 0, what):
        print("# " + said.replace("\n", "\n# "))
    return status == 0


def env(directory=None):
    with open(os.path.join(directory or where, "env.json"), encoding="utf-8") as f:
        return json.load(f)


def node(name, directory=None):
    return next(n for n in env(directory)["nodes"] if n["name"] == name)


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


def heights(directory=None):
    lines = tool("status", directory or where)[1].splitlines()[1:]
    return {line.split()[0]: int(line.split()[3]) for line in lines}


def rises(name, directory=None, seconds=30):
    """Does a node get blocks above what it has now?"""
    before = heights(directory)[name]
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if heights(directory)[name] > before:
            return True
        time.sleep(0.5)
    return False


def kanhe(at, party, *words, directory=None):
    e, base = env(directory), directory or where
    pair = next((p["cert"], p["key"]) for p in e["parties"] if p["id"] == party)
    return subprocess.run([COMMAND, "--connect", at, "--ca", os.path.join(base, e["ca"]), "--cert", os.path.join(base, pair[0]), "--key", os.path.join(base, pair[1]), "--json", *words],
                          capture_output=True, text=True, timeout=120)


def first_up():
    tap.same(tool()[0], 2, "without words: its usage")
    tap.same(tool("up", where, "--banks", "many")[0], 2, "a number of banks that is none")
    tap.same(tool("status", root)[0], 3, "a folder without a cluster")
    if not well("up", "up", where):
        tap.end()
    e = env()
    tap.same(sorted(e), sorted(["url", "ca", "ca_key", "genesis", "nodes", "parties"]), "env.json has its keys")
    tap.same([(n["name"], n["role"]) for n in e["nodes"]], [("hub1", "hub")] + [(f"bank{i}", "bank") for i in (11, 12, 13, 14)], "a hub and four banks")
    tap.same([(p["id"], p.get("node")) for p in e["parties"]], [(1, None)] + [(i, f"bank{i}") for i in (11, 12, 13, 14)] + [(i, None) for i in (101, 102, 103, 201)], "each bank has its node")
    tap.same([alive(os.path.join(where, n["home"])) for n in e["nodes"]], [n["pids"] for n in e["nodes"]], "the pids are all of a node's processes")
    tap.same([len(n["pids"]) for n in e["nodes"]], [3] * 5, "a supervisor, kanhed, CometBFT")
    secrets = [os.path.join(where, "officers", "1.key"), os.path.join(where, "links.key"), os.path.join(where, e["ca_key"]), where,
               *(os.path.join(where, n["home"], "keys", name) for n in e["nodes"] for name in os.listdir(os.path.join(where, n["home"], "keys")))]
    tap.ok(all(os.stat(file).st_mode & 0o77 == 0 for file in secrets), "secrets are nobody else's to read")
    tap.same(sorted(os.listdir(os.path.join(where, "nodes/hub1/keys"))), ["attest.key", "box.key", "comet.key", "comet_node.key", "disk.key", "group.1.key", "sender.key"], "a hub's keys")
    tap.same(sorted(os.listdir(os.path.join(where, "nodes/bank11/keys"))), ["ack.key", "box.key", "comet.key", "comet_node.key", "disk.key", "sender.key"], "a bank's keys: not the hubs'")
    tap.same(tool("up", where, "--banks", "5")[0], 2, "another up may not make it another cluster")
    with open(os.path.join(root, "d.csv"), "w") as f:
        f.write(declarations(3))
    tap.same(kanhe(e["url"], 201, "import", os.path.join(root, "d.csv")).returncode, 0, "the source imports through a hub")
    said = [json.loads(kanhe(n["url"], 1, "audit").stdout) for n in e["nodes"]]
    tap.same(len({(line["digest"], line["attested_height"] > 0) for line in said}), 1, "one digest at every node")


def one_dies():
    before = node("bank12")
    well("kill", "kill", where, "bank12")
    tap.same((alive(os.path.join(where, before["home"])), node("bank12")["pids"]), ([], []), "kill leaves no process of the node")
    tap.same(tool("status", where)[0], 1, "status says that not all serve")
    tap.ok(rises("bank11"), "the others go on")
    well("start", "start", where, "bank12")
    tap.ok(len(node("bank12")["pids"]) == 3 and not set(node("bank12")["pids"]) & set(before["pids"]), "start renews its pids")
    tap.ok(rises("bank12"), "and it goes on")
    os.kill(next(pid for pid in node("bank13")["pids"] if os.path.basename(os.path.realpath(f"/proc/{pid}/exe")) == "cometbft"), signal.SIGKILL)
    before, until = node("bank13")["pids"], time.monotonic() + 60
    while node("bank13")["pids"] == before and time.monotonic() < until or len(node("bank13")["pids"]) < 3:
        time.sleep(0.2)
    after = node("bank13")["pids"]
    tap.ok(after == alive(os.path.join(where, "nodes/bank13")) and len(set(before) & set(after)) == 1, "CometBFT ended: it and kanhed are new, the supervisor is not")


def all_die():
    for n in env()["nodes"]:
        for pid in n["pids"]:
            os.kill(pid, signal.SIGKILL)
    before = max(heights().values())
    well("up after a SIGKILL of all", "up", where)
    tap.ok(rises("hub1") and max(heights().values()) > before, "it goes on where it was")
    tap.same(len(kanhe(env()["url"], 11, "party", "list").stdout.splitlines()) > 0, True, "and answers")
    well("down", "down", where)
    tap.same([alive(os.path.join(where, n["home"])) for n in env()["nodes"]], [[]] * 5, "down leaves no process")
    tap.same([n["pids"] for n in env()["nodes"]], [[]] * 5, "and says so")


def moves_up():
    data, town = os.path.join(root, "data"), os.path.join(root, "moved")
    run = lambda *words: subprocess.run([COMMAND, "--data", data, "--json", *words], capture_output=True, text=True, check=True).stdout
    run("init")
    for id_, role in ((7, "regulator"), (21, "bank"), (901, "bank"), (35, "source")):
        run("party", "add", "--id", str(id_), "--role", role, "--name", f"Party {id_}")
    run("rate", "set", "EUR", "USD", "1.0834", "--date", "2026-11-24", "--source", "ECB")
    digest = json.loads(run("audit"))
    if not well("up --from", "up", town, "--from", data, "--suite", "gm"):
        return
    e = env(town)
    tap.same([n["name"] for n in e["nodes"]], ["hub1", "bank21", "bank901"], "a node a bank; members keep their ids")
    with open(os.path.join(town, e["genesis"])) as f:
        genesis = json.load(f)
    begin = genesis["app_state"]["kanhe"]
    tap.same((begin["suite"], genesis["initial_height"], [m["id"] for m in begin["members"]]), ("gm", str(digest["height"] + 1), [7, 21, 35, 901, 902]), "it begins above what was")
    tap.same(len(begin["public"]), 1, "the rate is public")
    tap.same(json.loads(kanhe(e["url"], 7, "audit", directory=town).stdout)["content_digest"], digest["content_digest"], "the content is the same")
    well("down again", "down", town)


def cut_off():
    town = os.path.join(root, "cut")
    if not well("up --netns", "up", town, "--netns"):
        return
    well("a partition", "partition", town, "bank11|bank12,bank13,bank14,hub1")
    time.sleep(2)
    tap.ok(rises("hub1", town), "those who are enough go on")
    tap.ok(not rises("bank11", town, 4), "the one who is cut off does not")
    well("heal", "heal", town)
    tap.ok(rises("bank11", town, 60), "and comes back")
    tap.same(tool("partition", town, "bank11|bank11")[0], 2, "a node in two groups")
    well("down in namespaces", "down", town)
    left = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True).stdout
    with open(os.path.join(town, "cluster.json")) as f:
        tap.ok(json.load(f)["tag"] not in left, "no namespace is left")


try:
    first_up()
    one_dies()
    all_die()
    moves_up()
    if os.geteuid() == 0:
        cut_off()
finally:
    for directory in (where, os.path.join(root, "moved"), os.path.join(root, "cut")):
        if os.path.isdir(directory):
            tool("down", directory)
    shutil.rmtree(root, ignore_errors=True)
tap.end()
