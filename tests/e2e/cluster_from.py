"""Moving up: a stopped directory of one machine becomes a cluster, and what was in it is what the cluster has. cluster_from.py [SUITE]"""
import contextlib
from town import *

tap = Tap()
K = "export_declaration:"
FAR = 4000000000  # ids are whatever they were
D = [K + declaration(i) for i in range(6)]
d = Directory()
root = tempfile.mkdtemp(prefix="kanhe-from-")


def life_before():
    """Two banks with financings in several states, an amendment that put one over the limit."""
    d.status("party", "add", "--id", FAR, "--role", "bank", "--name", "Bank Far")
    d.status("import", d.file("papers.csv", owned([(1, "1000.00"), (2, "500.00"), (3, "200.00"), (4, "300.00"), (5, "50.00")])))
    d.status("rule", "set", "hold_ttl_applied", "36h")
    said = {(11, 1): d.apply(11, 1, "800.00", D[1])[0], (12, 1): d.apply(12, 1, "200.00", D[1])[0], (11, 2): d.apply(11, 2, "150.00", D[3])[0],
            (12, 2): d.apply(12, 2, "100.00", D[4])[0]}
    for step in ("accept", "approve", "disburse"):
        d.event(step, 11, 2)
    d.event("repay", 11, 2, "--amount", "30.00")
    d.event("accept", 11, 1)
    d.status("import", d.file("less.csv", owned([(3, "120.00")])))
    return said


def plain(rows):
    return [{key: value for key, value in row.items() if key not in ("attested", "as_of", "watermark")} for row in rows]


def lists(rows):
    """Told of each bank at its node, in the order of numbers."""
    return {bank: sorted(rows(bank), key=lambda row: row["id"]) for bank in (11, 12, FAR)}


def opening_of(name):
    return town.home(name, "keys/opening")


def starts_with(name, opening):
    """A node that was told nothing yet, with this in the place of its opening: its last words, None: it serves."""
    town.must("kill", name)
    shutil.rmtree(town.home(name, "data/view"), ignore_errors=True)
    with contextlib.suppress(FileNotFoundError):
        os.remove(opening_of(name))
    if opening is not None:
        with open(opening_of(name), "wb") as f:
            f.write(opening)
    status, said = town.tool("start", name)
    return None if status == 0 else said + town.log(name)[-2000:]


try:
    outcomes = life_before()
    stood = lists(lambda bank: plain(d.rows("finance", "list", "--as", bank)[0]))
    before = {words: plain(d.rows(*words)[0]) for words in (("balance", D[1]), ("balance", D[3]), ("alerts",), ("finance", "list", "--as", 11), ("party", "list"))}
    content = d.row("audit")[0]
    town = Town(root, "town", "--from", d.data, "--suite", sys.argv[1] if len(sys.argv) > 1 else "intl")
    town.up()
    said = lambda: town.audits(["hub1", "bank11", "bank12", f"bank{FAR}"])
    tap.ok(town.until(lambda: len({s.get("digest") for s in said()}) == 1), "one digest at all nodes")
    tap.same(said()[0]["content_digest"], content["content_digest"], "the same content")
    tap.ok(said()[0]["height"] > content["height"], "heights go on above what was")
    for words in (("balance", D[1]), ("balance", D[3]), ("alerts",), ("party", "list")):
        tap.same(plain(town.rows("hub1", 1, *words)[0]), before[words], f"{' '.join(words)}: as before")
    tap.same(plain(town.rows("hub1", 11, "finance", "list")[0]), before["finance", "list", "--as", 11], "a hub shows a bank its financings")
    town.must("kill", "hub1")
    tap.same(lists(lambda bank: plain(town.rows(f"bank{bank}", bank, "finance", "list")[0])), stood, "with no hub each bank's node lists what stood before")
    tap.same({row["attested"] for bank in (11, 12) for row in town.rows(f"bank{bank}", bank, "finance", "list")[0]}, {True}, "which the genesis proves")
    row, status = town.row("bank11", 11, "finance", "show", 2)
    tap.same((pick(row, "state", "version", "amount", "repaid", "product", "attested"), status),
             ({"state": "PART_REPAID", "version": 5, "amount": "150.00", "repaid": "30.00", "product": "export_receivable", "attested": True}, 0), "and shows one")
    town.must("start", "hub1")
    tap.same([pick(town.rows("bank11", 11, "rule", "list")[0][0], "rule")] != [], True, "rules")
    tap.same({key: {k: v for k, v in town.apply(*key, amount, document)[0].items() if k != "attested"} for key, amount, document in
              (((11, 1), "800.00", D[1]), ((12, 1), "200.00", D[1]), ((12, 2), "100.00", D[4]))}, {key: outcomes[key] for key in ((11, 1), (12, 1), (12, 2))},
             "operations of before, sent again: their outcomes of then")
    done = town.raw("bank12", 12, "prove", 2, "-o", "old.json")
    tap.ok(done.returncode == 1 and "before genesis" in done.stderr, "a financing of before genesis cannot be proved", done.stderr)
    tap.same(town.row("bank12", 12, "finance", "show", 1)[0]["bank"], 12, "each for its own")
    row, status = town.event("repay", 11, 2, "--amount", "20.00")
    tap.same((row.get("name"), row.get("state"), row.get("version"), row.get("attested"), status), ("OK", "PART_REPAID", 6, True, 0), "a part is repaid")
    row, status = town.event("approve", 11, 1)
    tap.same((row["name"], row["state"], row["version"], row["attested"], status), ("OK", "APPROVED", 3, True, 0), "and its life goes on")
    tap.same(pick(town.row("bank11", 11, "finance", "show", 2)[0], "repaid", "attested"), {"repaid": "50.00", "attested": True}, "and adds to what was repaid before")
    hub = [plain(town.rows("hub1", 11, "finance", "show", number)[0]) for number in (1, 2)]
    tap.ok(town.until(lambda: [plain(town.rows("bank11", 11, "finance", "show", number)[0]) for number in (1, 2)] == hub), "the node shows them as the hub does, with all that was before", hub)
    row, status = town.check(receipt := town.prove(11, 1, "new.json"))
    tap.same((row.get("operation"), row.get("name"), status, town.check_otherwise(receipt)), ("approve", "OK", 0, 0), "and proves it")
    town.must("kill", "hub1")
    row, status = town.row("bank11", 11, "finance", "show", 1)
    tap.same((row.get("state"), row.get("attested"), status), ("APPROVED", True, 0), "with no hub what it was told itself")
    town.must("start", "hub1")
    now = town.rows("bank12", 12, "finance", "list")[0]
    with open(opening_of("bank12"), "rb") as f:
        whole = f.read()
    with open(opening_of("bank11"), "rb") as f:
        other = f.read()
    tap.ok(not any(paper.split(":")[1].encode() in one for paper in D for one in (whole, other)), "an opening is sealed")
    said = starts_with("bank12", whole[:-30] + bytes([whole[-30] ^ 1]) + whole[-29:])
    tap.ok(said is not None and "keys/opening is not sealed to this bank, or not whole" in said, "a changed one is refused", said)
    tap.same(starts_with("bank12", None), None, "without one the node starts")
    tap.ok(town.log_says("bank12", "opening_missing"), "and says so")
    tap.ok(town.until(lambda: town.row("bank12", 12, "finance", "show", 1)[0].get("attested") is False), "and asks a hub")
    tap.same(starts_with("bank12", whole), None, "with the right one it starts")
    tap.ok(town.until(lambda: plain(town.rows("bank12", 12, "finance", "list")[0]) == plain(now)), "and has all again", now)
    os.remove(opening_of("bank12"))
    town.must("kill", "bank12")
    town.must("start", "bank12")
    tap.ok(town.until(lambda: plain(town.rows("bank12", 12, "finance", "list")[0]) == plain(now)), "which it keeps without the file", now)
finally:
    if os.path.isdir(os.path.join(root, "town")):
        Town(root, "town").tool("down")
    d.close()
    shutil.rmtree(root, ignore_errors=True)
tap.end()
