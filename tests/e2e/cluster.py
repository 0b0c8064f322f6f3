"""A cluster's users: from the first import to the day after everything stopped. cluster.py [SUITE]: `gm` goes a shorter way, with one hub."""
from town import *

SUITE = sys.argv[1] if len(sys.argv) > 1 else "intl"
LONG = SUITE == "intl"
tap = Tap()
root = tempfile.mkdtemp(prefix="kanhe-cluster-")
town = Town(root, "town", "--suite", SUITE, "--hubs", "2" if LONG else "1")
K = "export_declaration:"
D = [K + declaration(i) for i in range(10)]
HUBS = ["hub1", "hub2"] if LONG else ["hub1"]
BANKS = (11, 12, 13, 14)
NODES = HUBS + [f"bank{bank}" for bank in BANKS]
acknowledged = {}  # (bank, id): what to send again, and the answer


def apply(bank, id_, amount, *documents, **more):
    row, status = town.apply(bank, id_, amount, *documents, **more)
    if status == 0:
        acknowledged[bank, id_] = (amount, documents), row
    return row, status


def plain(rows):
    """What every node says of a document: without whose word it is and of when."""
    return [{key: value for key, value in row.items() if key not in ("attested", "as_of", "watermark")} for row in rows]


def listed(bank):
    rows, status = town.rows(f"bank{bank}", bank, "finance", "list")
    return {row["id"]: pick(row, "state", "version", "amount", "repaid", "height", "attested") for row in rows} if status == 0 else None


def signs():
    """What nobody signed does not count, whichever hub brings it: of the regulator, a source, an enterprise."""
    enterprise = ("party", "add", "--id", 104, "--role", "enterprise", "--name", "Exporter Four", "--uscc", "91350211M000100Z44")
    grant = ("grant", "add", "--id", 5, "--bank", 11, "--scope", "documents", "--until", "2099-12-31")
    for party, words in ((1, enterprise), (1, ("party", "freeze", 103)), (101, grant), (201, ("import", town.write("one.csv", owned([(8, "10.00")]))))):
        rows, status = town.rows("hub1", party, *words, signed=False)
        tap.same(([row["name"] for row in rows if "name" in row], status), (["NOT_AUTHORISED"], 1), f"{party}: {words[0]} {words[1] if words[0] != 'import' else ''}: unsigned it is not authorised")
    listed = [row["id"] for row in town.rows("hub1", 1, "party", "list")[0]]
    tap.same((104 in listed, town.rows("hub1", 101, "grant", "list")[0]), (False, []), "and has no effect")
    for party, words in ((1, enterprise), (101, grant)):
        row, status = town.row("hub1", party, *words)
        tap.same((row.get("name"), status), ("OK", 0), f"{party}: {words[0]} {words[1]}: signed it is done")
    digits = ("party", "add", "--id", 105, "--role", "enterprise", "--name", "Exporter Five", "--uscc", "913502111000200176")
    tap.same(town.row("hub1", 1, *digits)[1], 0, "an enterprise whose USCC is all digits")
    for words, id_ in ((("freeze", "913502111000200176"), 105), (("unfreeze", "913502111000200176"), 105), (("freeze", "91350211m000100z44"), 104), (("unfreeze", "Exporter Four"), 104)):
        row, status = town.row("hub1", 1, "party", *words)
        tap.same((row.get("id"), row.get("name"), status), (id_, "OK", 0), f"named so it is the one that is meant: party {' '.join(words)}")
    tap.same(town.row("bank12", 12, "risk", "add", "6222 0212", "--category", "fraud")[1], 0, "a bank contributes to the risk list")
    remove = ("risk", "remove", "62220212", "--category", "fraud", "--of", 12)
    tap.same(town.row("hub1", 1, *remove, signed=False)[0].get("name"), "NOT_AUTHORISED", "who takes it out for the regulator, unsigned, is not authorised")
    tap.same(town.row("bank11", 11, "risk", "ask", "62220212")[0].get("listed"), True, "and it stands")
    row, status = town.row("hub1", 1, *remove)
    tap.same((pick(row, "subject", "category", "code", "name"), status), ({"subject": "62220212", "category": "fraud", "code": 0, "name": "OK"}, 0), "signed it is done")
    tap.same(town.row("bank11", 11, "risk", "ask", "62220212")[0].get("listed"), False, "and it is gone")
    for words in (("risk", "remove", "62220212", "--category", "nonsense"), ("risk", "remove", "--category", "fraud", "--", "-"), ("import", "/"), ("import", "/nonexistent")):
        tap.same(town.row("hub1", 1, *words)[1], 2, f"usage: {' '.join(words)}")
    tap.ok("No such file or directory" in town.said, "and why a file cannot be read", town.said)
    tap.ok(104 in [row["id"] for row in town.rows("hub1", 1, "party", "list")[0]] and town.rows("hub1", 101, "grant", "list")[0], "and has its effect")


def imports():
    papers = town.write("papers.csv", owned([(1, "1000.00"), (2, "500.00"), (3, "200.00"), (4, "300.00"), (5, "400.00"), (6, "600.00"), (7, "700.00")]))
    row, status = town.row(HUBS[-1], 201, "import", papers)
    tap.same((pick(row, "read", "stored", "refused"), status), ({"read": 7, "stored": 7, "refused": 0}, 0), "a source imports at a hub")
    tap.same(pick(town.row("hub1", 201, "import", papers)[0], "stored", "unchanged"), {"stored": 0, "unchanged": 7}, "at any hub the same again changes nothing")
    at_hub, at_node = (town.rows(node, 11, "verify", papers)[0] for node in ("hub1", "bank11"))
    tap.same((plain(at_node), len(at_node)), (plain(at_hub), 7), "verify at the bank's own node: the hub's rows")
    tap.ok(all(row["attested"] is False and row["as_of"] > 0 for row in at_node), "as one hub's word", at_node)
    attested, status = town.rows("bank11", 11, "verify", papers, "--attested")
    tap.same((plain(attested), {row["attested"] for row in attested}, status), (plain(at_hub), {True}, 0), "verify --attested: the word of a quorum")
    proof = (D[1], "--owner", USCC_A, "--amount", "1000.00")
    at_hub, at_node = (town.rows(node, 11, "balance", *proof)[0] for node in ("hub1", "bank11"))
    tap.same((plain(at_node), at_node[0]["free"]), (plain(at_hub), "1000.00"), "balance alike")
    row, status = town.row("bank11", 12, "balance", *proof)
    tap.same((row["name"], status), ("NOT_AUTHORISED", 1), "another bank's node asks for nobody else")


def finances():
    row, status = apply(11, 1, "800.00", D[1])
    tap.same((pick(row, "id", "bank", "name", "state", "version", "amount", "attested"), status),
             ({"id": 1, "bank": 11, "name": "OK", "state": "APPLIED", "version": 1, "amount": "800.00", "attested": True}, 0), "granted, and final")
    tap.same(town.apply(11, 1, "800.00", D[1]), (row, 0), "sent again: the first outcome, height included")
    row, status = apply(12, 1, "300.00", D[1])
    tap.same((row["name"], row["attested"], status), ("INSUFFICIENT", True, 1), "another bank may not have more than is left")
    tap.same(pick(apply(12, 1, "200.00", D[1])[0], "name", "amount"), {"name": "OK", "amount": "200.00"}, "the rest it may")
    tap.same(apply(13, 1, "1.00", D[1])[0]["name"], "DUP_HELD_OTHER", "and a third one nothing")
    with ThreadPoolExecutor(3) as pool:
        rows = list(pool.map(lambda _: town.apply(14, 1, "300.00", D[4]), range(3)))
    tap.same((rows[0][0]["name"], rows[1:]), ("OK", rows[:1] * 2), "three times at once: one outcome")
    acknowledged[14, 1] = ("300.00", (D[4],)), rows[0][0]
    steps = [town.event("accept", 11, 1), town.event("approve", 11, 1, "--expect", 2), town.event("disburse", 11, 1), town.event("repay", 11, 1, "--amount", "100.00")]
    tap.same([(row["state"], row["version"], row["attested"], status) for row, status in steps],
             [(state, version, True, 0) for version, state in enumerate(("ACCEPTED", "APPROVED", "DISBURSED", "PART_REPAID"), 2)], "its life")
    tap.same(town.event("approve", 11, 1)[0]["name"], "BAD_STATE", "no step twice")
    keys = ("state", "version", "amount", "repaid", "enterprise", "product", "documents")
    at_node, at_hub = (town.row(node, 11, "finance", "show", 1)[0] for node in ("bank11", "hub1"))
    tap.same((pick(at_node, *keys), at_node["attested"], at_node["repaid"]), (pick(at_hub, *keys), True, "100.00"), "shown by the own node as by a hub")


def warns():
    for bank, amount, events in ((11, "150.00", ("accept", "approve", "disburse")), (12, "50.00", ())):
        apply(bank, 5, amount, D[3])
        for event in events:
            town.event(event, bank, 5)
    row, _ = town.row("hub1", 201, "import", town.write("less.csv", owned([(3, "120.00")])))
    tap.same(row["amended"], 1, "an amendment")
    alerts = lambda bank: [pick(row, "alert", "bank", "financing", "number", "attested") for row in town.rows(f"bank{bank}", bank, "alerts")[0]]
    town.until(lambda: alerts(11) and alerts(12))
    number = declaration(3)
    tap.same(alerts(11)[0], {"alert": "OVER_LIMIT", "bank": 11, "financing": None, "number": number, "attested": True} | pick(alerts(11)[0], "financing"), "the bank over the limit has an alert")
    tap.same(alerts(12), [{"alert": "LINE_CANCELLED", "bank": 12, "financing": 5, "number": number, "attested": True}], "the one who loses its hold has its own")
    tap.same(alerts(13), [], "and others none")
    del acknowledged[12, 5]  # its state moved on by itself


def agrees():
    """One digest at every node at one height."""
    height = min(said["height"] for said in town.audits(NODES))
    said = town.audits(NODES, height)
    return height, said[0]["digest"], len({(s["height"], s["digest"]) for s in said}) == 1 and said[0]["height"] == height


def audits():
    tap.ok(agrees()[2], "audit --height: one digest at all nodes")
    with open(town.genesis) as f:
        first = int(json.load(f)["initial_height"])
    said = town.audits(NODES, first)
    tap.same(({s.get("height") for s in said}, len({s.get("digest") for s in said})), ({first}, 1), "at the first height too, which had no entry")
    states = lambda said: {(s["attested_height"], s["state_digest"]) for s in said}
    contents = lambda said: {(s["executed_height"], s["content_digest"]) for s in said[:len(HUBS)]}
    tap.ok(town.until(lambda: len(states(town.audits(NODES))) == 1), "one attested state")
    tap.ok(town.until(lambda: len(contents(town.audits(NODES))) == 1), "hubs have one content")
    tap.same(["content_digest" in s for s in town.audits(NODES)], [True] * len(HUBS) + [False] * 4, "banks do not know it")


def proves():
    apply(11, 77, "250.00", D[2])
    tap.same(town.raw("bank11", 11, "prove", 77, "-o", "at_once.json").returncode, 0, "what was just answered is proved: the block above it is waited for")
    receipt = town.prove(11, 77, "receipt.json")
    row, status = town.check(receipt)
    tap.same((pick(row, "proven", "bank", "financing", "operation", "name", "height"), status),
             ({"proven": True, "bank": 11, "financing": 77, "operation": "apply", "name": "OK", "height": acknowledged[11, 77][1]["height"]}, 0), "a receipt proves")
    tap.same(town.check_otherwise(receipt), 0, "to the second checker too")
    with open(receipt, "rb") as f:
        good = f.read()
    row, status = town.check(town.prove(11, "11:77", "named.json"))
    tap.same((row.get("proven"), row.get("financing"), status), (True, 77, 0), "asked for by bank and number too")
    said = town.raw("bank11", 11, "prove", "12:77")
    tap.ok(said.returncode == 2 and "11:1" in said.stderr, "of another bank it is said what is meant", said.stderr)
    statuses = []
    for place in range(40, len(good), len(good) // 12):
        with open(os.path.join(root, "bad.json"), "wb") as f:
            f.write(good[:place] + bytes([good[place] ^ 1]) + good[place + 1:])
        statuses.append(town.check(os.path.join(root, "bad.json"))[1])
    tap.same(set(statuses), {1}, "a flipped bit does not")
    tap.same(town.check_otherwise(os.path.join(root, "bad.json")), 1, "nor there")
    tried = [town.raw(node, 12, "prove", 77, "-o", "theirs.json").returncode for node in ("bank12", "bank11", "hub1")]
    tap.same((tried, os.path.exists(os.path.join(root, "theirs.json"))), ([1, 1, 1], False), "another bank cannot have it proved")
    row, status = town.check(town.prove(11, 1, "repaid.json"))
    tap.same((row.get("operation"), row.get("name"), status), ("repay", "OK", 0), "of a financing its newest operation is proved")


def a_bank_dies():
    before = listed(12)
    town.must("kill", "bank12")
    row, status = apply(13, 2, "600.00", D[6])
    tap.same((row["name"], row["attested"], status), ("OK", True, 0), "with one bank's node dead the others go on")
    height = town.audit("bank11")["height"]
    town.must("start", "bank12")
    tap.ok(town.until(lambda: town.audit("bank12", height).get("digest") == town.audit("bank11", height)["digest"]), "it catches up to the same digest")
    tap.ok(town.until(lambda: listed(12) == before) and len(before) == 2, "and has what is its own", before)
    tap.same(apply(12, 9, "250.00", D[2])[0]["name"], "OK", "and goes on itself")
    row, status = town.check(town.prove(12, 1, "older.json"))
    tap.same((row.get("operation"), row.get("financing"), status), ("apply", 1, 0), "what it was granted before can be proved")


def hubs_die():
    ask = town.write("ask.csv", owned([(5, "400.00")]))
    town.must("kill", "hub1")
    row, status = town.row("bank11", 11, "verify", ask)
    tap.same((row["name"], row["attested"], status), ("OK", False, 0), "with one hub dead another is asked")
    tap.same(town.row("bank11", 11, "verify", ask, "--attested", wait=20)[1], 3, "--attested wants two of two")
    town.must("kill", "hub2")
    row, status = town.row("bank11", 11, "verify", ask)
    tap.same((row["code"], row["name"], row.get("reason"), "why" in row, status), (90, "NOT_CHECKED", "hub", False, 1), "without hubs: NOT_CHECKED, and why")
    row, status = town.row("bank11", 11, "verify", ask, "--attested")
    tap.same((row["name"], row.get("attested", False), status), ("NOT_CHECKED", False, 1), "and so for who wants a quorum's word")
    row, status = town.row("bank11", 11, "balance", D[1], "--owner", USCC_A, "--amount", "1000.00")
    tap.same((row["name"], row.get("reason"), status, "no hub" in town.said), ("NOT_CHECKED", "hub", 1, True), "so is a balance")
    more = ("--enterprise", USCC_A, "--product", "export_receivable", "--amount", "1.00", "--currency", "USD", "--doc", D[1])
    row, status = town.row("bank11", 11, "finance", "apply", "--id", 9001, *more)
    tap.same((row.get("name"), row.get("reason"), status, "id" in town.said), ("NOT_CHECKED", "hub", 1, True), "whose a USCC is nobody says: an id needs no hub")
    rows = listed(11)
    tap.same((rows[77]["state"], rows[77]["attested"], rows[1]["repaid"]), ("APPLIED", True, "100.00"), "the own financings need no hub")
    tap.same(town.apply(11, 6, "400.00", D[5], wait=4), ({}, 3), "an application is not answered before it is final")
    tap.same(6 in listed(11), False, "and not shown")
    for hub in HUBS:
        town.must("start", hub)
    tap.ok(town.until(lambda: 6 in (listed(11) or ())), "once hubs are back it is done")
    row, status = apply(11, 6, "400.00", D[5])
    tap.same((row["name"], row["state"], status), ("OK", "APPLIED", 0), "sent again: its first outcome")
    row, _ = town.row("bank11", 11, "balance", D[5], "--owner", USCC_A, "--amount", "400.00")
    tap.same(pick(row, "held", "free"), {"held": "400.00", "free": "0.00"}, "done once")


def all_die():
    before, (height, digest, _) = {bank: listed(bank) for bank in BANKS}, agrees()
    for pid in town.pids():
        os.kill(pid, signal.SIGKILL)
    town.up()
    tap.ok(town.until(lambda: len({(s.get("digest"), s.get("attested_height")) for s in town.audits(NODES)}) == 1), "after a SIGKILL of all they agree again")
    tap.same({s["digest"] for s in town.audits(NODES, height)}, {digest}, "on what was")
    tap.ok(town.until(lambda: {bank: listed(bank) for bank in BANKS} == before), "nothing acknowledged is lost", before)
    sent = {key: town.apply(*key, amount, *documents)[0] for key, ((amount, documents), _) in acknowledged.items()}
    tap.same(sent, {key: row for key, (_, row) in acknowledged.items()}, "sent again: the outcomes of then")
    tap.same((town.check(os.path.join(root, "receipt.json"))[1], town.check(os.path.join(root, "repaid.json"))[1]), (0, 0), "receipts of then prove")
    row, status = town.check(town.prove(11, 77, "again.json"))
    tap.same((row.get("financing"), row.get("height"), status), (77, acknowledged[11, 77][1]["height"], 0), "and can be had again")
    tap.same(apply(13, 8, "700.00", D[7])[0]["name"], "OK", "and it goes on")


try:
    town.up()
    for part in (signs, imports, finances, *((warns,) if LONG else ()), audits, proves, *((a_bank_dies, hubs_die) if LONG else ()), all_die):
        began = time.monotonic()
        part()
        print(f"# {part.__name__}: {time.monotonic() - began:.0f} s")
finally:
    town.tool("down")
    shutil.rmtree(root, ignore_errors=True)
tap.end()
