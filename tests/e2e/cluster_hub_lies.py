"""A hub joins with its peers' state while another hub lies of it, and all but one of those who give it hold the false one: it refuses what
can be seen to be false, names its maker, and takes another's; what cannot be seen shows with the first block behind: it has signed nothing, and stops."""
import contextlib
from cluster_hub_sync_parts import *

tap = Tap()
root = tempfile.mkdtemp(prefix="kanhe-hublies-")
town = Town(root, "three", "--hubs", "3", *WORDS)
LIAR, JOINS = 902, "hub3"
GIVERS = ["hub2", "bank11", "bank12", "bank13", "bank14"]


def states(name):
    folder = town.home(name, "data", "states")
    return sorted(int(file.removesuffix(".state")) for file in os.listdir(folder) if file.endswith(".state"))


def lies(how):
    """hub2 makes false ones of all that it holds; the banks' nodes hold them."""
    false = os.path.join(root, how)
    os.makedirs(false)
    for name in GIVERS:
        town.must("kill", name)
        for height in states(name):
            path, made = town.home(name, "data", "states", f"{height}.state"), os.path.join(false, str(height))
            if name == "hub2":
                if how != "epoch" and not os.path.exists(true_state(height)):
                    continue
                if how != "epoch":
                    shutil.copy(true_state(height), path)
                else:
                    shutil.copy(path, true_state(height))
                done = subprocess.run([os.environ["FALSE_STATE"], town.home("hub2", "data"), town.home("hub2", "keys"), str(LIAR), str(height), how], capture_output=True, text=True, timeout=60)
                tap.same((done.returncode, done.stderr), (0, ""), f"hub2 lies of the state of {height}: {how}")
                shutil.copy(path, made)
            elif os.path.exists(made):
                shutil.copy(made, path)
        town.must("start", name)


def true_state(height):
    return os.path.join(root, f"true-{height}")


def accused():
    """Whom nodes named, and where."""
    found = set()
    for name in town.urls:
        for line in said(town, name, "cluster_alert"):
            found.add((name, line.get("word"), line.get("member")))
    return found


@contextlib.contextmanager
def without_hub1():
    """hub1, which has the true state, stands still meanwhile."""
    pids = town.node("hub1")["pids"]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def a_lie_that_shows():
    lies("epoch")
    refused = town.home(JOINS, "data", "states", "refused")
    with ThreadPoolExecutor(1) as pool:
        with without_hub1():
            began = pool.submit(town.tool, "start", JOINS, "--from-peers")
            tap.ok(town.until(lambda: said(town, JOINS, "state_false"), 90), f"{JOINS} is given a false state, and says so")
            tap.ok(os.path.exists(refused), "what it writes down")
        if not tap.same(began.result()[0], 0, "start hub3 --from-peers"):
            return
    town.look()
    false = said(town, JOINS, "state_false")
    tap.ok(false and {line["maker"] for line in false} == {LIAR}, "it refuses what a liar made, and says whose it is", false)
    tap.same(len(said(town, JOINS, "state_in_place")), 1, "and begins with another's")
    tap.ok(not os.path.exists(refused), "with which it forgives")
    tap.ok(town.until(lambda: level(town, ["hub1", "hub2", JOINS])), "all three say the same")
    tap.same(accused(), {(JOINS, "STATE_FALSE", LIAR)}, "the liar alone is named, by who was lied to")
    town.must("kill", "hub2")
    number, row, _ = apply(town, 12)
    tap.same(row.get("name"), "OK", "without the liar, it is one of the quorum that signs")
    tap.same(town.check(town.prove(12, number, "lies.json"))[1], 0, "what proves")
    town.must("start", "hub2")
    tap.ok(town.until(lambda: level(town, ["hub1", "hub2", JOINS])), "all three say the same again")


def a_lie_that_no_digest_covers():
    loses_all(town, JOINS)
    before = accused()
    lies("count")
    began = subprocess.Popen([TOOL, "start", town.dir, JOINS, "--from-peers"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        with without_hub1():
            tap.ok(town.until(lambda: len(said(town, JOINS, "state_taken")) == 2, 90), "it believes a count for a while")
        tap.ok(town.until(lambda: "EXECUTION_DIFFERS" in town.log(JOINS), 90), "the first blocks behind it show the lie")
    finally:
        began.terminate()  # it would wait for a hub that serves
        began.wait()
    for bank in (11, 12, 13, 14):
        tap.same(apply(town, bank)[1].get("name"), "OK", "the others go on")
    named = {alert for alert in accused() - before if alert[0] != JOINS}
    tap.same(named, set(), "it has said nothing of its own that anybody could hold against it")
    tap.ok(town.until(lambda: level(town, ["hub1", "hub2"])), "the others say the same")


try:
    begins(town, tap, "three hubs")
    tap.ok(town.until(lambda: level(town, ["hub1", "hub2", JOINS])), "three hubs say the same")
    loses_all(town, JOINS)
    a_lie_that_shows()
    a_lie_that_no_digest_covers()
finally:
    town.tool("down")
    if os.environ.get("KEEP") is None:
        shutil.rmtree(root, ignore_errors=True)
tap.end()
