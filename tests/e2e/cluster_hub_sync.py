"""A hub that lost all but its keys and configuration begins with its peers' state of a checkpoint: without the blocks before, with the same
answers and digests as the hub that has them. Where it was the only one, banks' nodes hold the state. A hub that joins begins so, too."""
from cluster_hub_sync_parts import *

tap = Tap()
root = tempfile.mkdtemp(prefix="kanhe-hubsync-")


def begun(town, hub, least):
    """What its log says of how it began."""
    taken, place = said(town, hub, "state_taken"), said(town, hub, "state_in_place")
    tap.ok(len(taken) == 1 and len(place) == 1 and taken[0]["height"] >= least, f"{hub} takes a state, once", (taken, place))
    base = said(town, hub, "snapshot_taken")
    tap.ok(len(base) == 1 and taken and base[0]["height"] <= taken[0]["height"], "behind the snapshot that it began with", base)
    tap.same([line["event"] for line in town.events(hub) if line["event"] in ("state_false", "execution_differs", "not_started")], [], "nothing is wrong with it")


def sound(town, hub):
    """Its whole directory, read anew while it stands still."""
    town.must("kill", hub)
    done = subprocess.run([COMMAND, "--data", town.home(hub, "data"), "--json", "audit"], capture_output=True, text=True)
    town.must("start", hub)
    row = json.loads(done.stdout or "{}")
    tap.ok(done.returncode == 0 and row.get("checkpoint_digest"), f"{hub}: its log, journals and state fit together", done.stdout + done.stderr)


def two_hubs():
    town = Town(root, "two", "--hubs", "2", *WORDS)
    try:
        height = begins(town, tap, "two hubs")
        tap.ok(town.until(lambda: level(town, ["hub1", "hub2"])), "both hubs say the same")
        old = town.audit("hub1")
        loses_all(town, "hub2")
        asked = []
        thread = threading.Thread(target=lambda: asked.append(apply(town, 12, wait=100)))
        thread.start()
        if not town.well(tap, "start hub2 --from-peers", "start", "hub2", "--from-peers"):
            return
        town.look()
        begun(town, "hub2", 40)
        thread.join()
        tap.same([row.get("name") for _, row, _ in asked], ["OK"], "what was asked meanwhile is answered")
        tap.ok(town.until(lambda: level(town, ["hub1", "hub2"])), "both say the same again")
        tap.ok(town.audit("hub2").get("executed_height", 0) > old["executed_height"], "of more than before")
        for document in (1, 2, 150):
            rows = [town.row(hub, 1, "balance", declaration_of(document))[0] for hub in ("hub1", "hub2")]
            tap.same(rows[1], rows[0], "a paper's balance is the same at both")
        receipt = town.prove(12, asked[0][0], "two.json") if asked else None
        tap.same(town.check(receipt)[1], 0, "a receipt proves")
        sound(town, "hub2")
        tap.same(apply(town, 13)[1].get("name"), "OK", "it goes on after a restart")
        tap.ok(town.until(lambda: level(town, ["hub1", "hub2"])), "and says the same")
        begun(town, "hub2", 40)
        if town.well(tap, "add hub --from-peers", "add", "hub", "--from-peers"):
            town.look()
            begun(town, "hub3", 40)
            tap.same(apply(town, 14)[1].get("name"), "OK", "a bank applies")
            tap.ok(town.until(lambda: level(town, ["hub1", "hub2", "hub3"])), "a hub that joins begins so, and says the same")
        tap.same(town.alerts(), [], "nobody was called a liar")
    finally:
        town.tool("down")


def one_hub():
    town = Town(root, "one", "--hubs", "1", *WORDS)
    try:
        begins(town, tap, "one hub")
        old, backup = town.audit("hub1"), os.path.join(root, "keys")
        shutil.copytree(town.home("hub1", "keys"), backup)
        town.must("kill", "hub1")
        shutil.rmtree(town.home("hub1"))
        if not town.well(tap, "replace-hub --from-peers", "replace-hub", "hub1", "--keys", backup, "--from-peers"):
            return
        town.look()
        begun(town, "hub1", 40)
        tap.ok(town.until(lambda: town.audit("hub1").get("executed_height", 0) >= old["executed_height"]), "the only hub is gone, and is there again from what banks' nodes hold")
        number, row, _ = apply(town, 14)
        tap.same(row.get("name"), "OK", "its outputs come to the banks")
        tap.same(town.check(town.prove(14, number, "one.json"))[1], 0, "and prove")
        tap.same(len(town.rows("bank11", 11, "finance", "list")[0]) > 1, True, "a bank has what it had")
        sound(town, "hub1")
        tap.same(town.alerts(), [], "nobody was called a liar")
    finally:
        town.tool("down")


try:
    two_hubs()
    one_hub()
finally:
    if os.environ.get("KEEP") is None:
        shutil.rmtree(root, ignore_errors=True)
tap.end()
