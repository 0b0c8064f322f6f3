"""Who speaks for whom, in a cluster that runs: a bank joins and applies, a validator leaves, a bank's key is another, a bank is expelled, a hub
joins and attests; all ordered by officers. Receipts of after that prove, from the genesis alone, to both checkers."""
from authority import Lists
from town import *

tap = Tap()
root = tempfile.mkdtemp(prefix="kanhe-join-")
town = Town(root, "town")
K = "export_declaration:"
D = [K + declaration(i) for i in range(20)]
RECORD = ("sender", "ack", "attest", "box")


def officers(kind, *words, at="bank11", signed=(1, 2)):
    """A change made, signed and submitted: the order's word."""
    file = os.path.join(root, "change.json")
    made = town.raw(at, 1, "change", kind, *words, "-o", file)
    if made.returncode != 0:
        return made.stderr
    for officer in signed:
        subprocess.run([COMMAND, "change", "sign", file, "--officer", str(officer), "--key", town.path("officers", f"{officer}.key")], check=True, capture_output=True)
    done = town.raw(at, 1, "change", "submit", file)
    return json.loads(done.stdout)["result"] if done.stdout else done.stderr


def register(at="bank11"):
    """GET /v1/cluster: the members and sets as that node has them."""
    context = ssl.create_default_context(cafile=town.ca)
    context.load_cert_chain(*town.certificates[1])
    host, port = town.urls[at].removeprefix("https://").rsplit(":", 1)
    connection = http.client.HTTPSConnection(host, int(port), timeout=20, context=context)
    connection.request("GET", "/v1/cluster")
    said = json.loads(connection.getresponse().read())["results"][0]
    connection.close()
    return said


def public(kind, name, file):
    return subprocess.run([os.environ["KANHE_KEY"], "intl", kind, town.path("nodes", name, "keys", file)], check=True, capture_output=True, text=True).stdout.strip()


def record(bank, **other):
    """The words of a bank's record as it was made, but for what is said otherwise."""
    name = next(member["name"] for member in register()["members"] if member["id"] == bank)
    fields = {"sender": public("sign", f"bank{bank}", "sender.key"), "ack": public("sign", f"bank{bank}", "ack.key"), "box": public("box", f"bank{bank}", "box.key"),
              "consensus": public("sign", f"bank{bank}", "comet.key")[:64], "status": "active"} | other
    return ["--id", bank, "--role", "bank", "--name", name, *(word for key, value in fields.items() for word in ("--" + key, value))]


def one_digest(nodes):
    """Every node has the same at one height."""
    height = min(said["height"] for said in town.audits(nodes))
    return len({said.get("digest") for said in town.audits(nodes, height)}) == 1


def proves(bank, id_, name, changes):
    receipt = town.prove(bank, id_, name)
    row, status = town.check(receipt)
    tap.same((row.get("bank"), row.get("financing"), status), (bank, id_, 0), f"{name} proves, from the genesis alone")
    tap.same(town.check_otherwise(receipt), 0, "to the second checker too")
    with open(receipt, encoding="utf-8") as f:
        tap.same(len(json.load(f)["validator_changes"]), changes, f"over {changes} sets of validators that changed")
    return receipt


def others_go_on(what, verb, *words, but=()):
    """`tools/cluster` does it, and every process of all other nodes stays the same one."""
    before = {n["name"]: n["pids"] for n in town.env()["nodes"] if n["name"] not in but}
    town.must(verb, *words)
    town.up()
    now = {n["name"]: n["pids"] for n in town.env()["nodes"]}
    tap.same({name: now.get(name) for name in before}, before, f"no process of the others was started again: {what}")


def begins():
    town.up()
    tap.same(town.row("hub1", 201, "import", town.write("papers.csv", owned([(i, "1000.00") for i in range(20)])))[0].get("stored"), 20, "papers")
    tap.same(town.apply(11, 1, "900.00", D[1])[0].get("name"), "OK", "a bank applies")
    return proves(11, 1, "first.json", 0)


def a_bank_joins():
    tap.same(officers("member", *record(11, sender="00" * 64), signed=(1,)), "NOT_AUTHORISED", "one officer is not enough")
    others_go_on("a bank joins", "add", "bank", "--name", "Bank Late")
    tap.ok(town.until(lambda: any(member["id"] == 15 and member["validator"] for member in register("bank15")["members"])), "its node comes to know itself")
    said = register("bank15")
    late = next(member for member in said["members"] if member["id"] == 15)
    tap.same((pick(late, "role", "name", "status", "validator"), said["validators"]), ({"role": "bank", "name": "Bank Late", "status": "active", "validator": True}, 5), "a bank joins, and votes")
    row, status = town.apply(15, 1, "700.00", D[2])
    tap.same((pick(row, "bank", "name", "amount", "attested"), status), ({"bank": 15, "name": "OK", "amount": "700.00", "attested": True}, 0), "it applies at its own node; final and attested")
    tap.same(town.apply(15, 2, "200.00", D[1])[0].get("name"), "INSUFFICIENT", "what others hold of before it was there counts")
    tap.same(town.apply(12, 1, "400.00", D[2])[0].get("name"), "INSUFFICIENT", "and what it holds counts against others")
    tap.ok(town.until(lambda: one_digest(["hub1", "bank11", "bank15"])), "one digest at all nodes")
    proves(15, 1, "late.json", 1)
    proves(11, 1, "first_again.json", 0)


def a_validator_leaves():
    tap.same(officers("validator", "--member", 14, "--power", 0), "OK", "officers order that a bank votes no more")
    tap.same(officers("validator", "--member", 14, "--power", 0), "REFUSED", "it is no validator: nothing to order")
    height = town.audit("bank11")["height"]
    tap.ok(town.until(lambda: town.audit("bank13")["height"] > height + 5), "the cluster goes on")
    said = register("bank13")
    tap.same((said["validators"], said["validator_quorum"]), (4, 3), "with four validators")
    town.must("kill", "bank14")
    tap.same(town.apply(13, 1, "300.00", D[3])[0].get("name"), "OK", "whose node is not needed any more")
    town.must("start", "bank14")
    tap.ok(town.until(lambda: town.apply(14, 1, "300.00", D[4], wait=20)[0].get("name") == "OK"), "and still sends")
    proves(13, 1, "fewer.json", 2)


def a_key_is_another():
    """The officers name another sender key; until the node has it, what it sends has no effect."""
    home = town.path("nodes", "bank12", "keys")
    other = os.path.join(root, "sender.key")
    key = subprocess.run([os.environ["KANHE_KEY"], "intl", "sign", other], check=True, capture_output=True, text=True).stdout.strip()
    tap.same(town.apply(12, 2, "100.00", D[5])[0].get("name"), "OK", "a bank applies with its key")
    tap.same(officers("member", *record(12, sender=key)), "OK", "officers order another key")
    tap.ok(town.until(lambda: next(member["sender"] for member in register("hub1")["members"] if member["id"] == 12) == key), "every node knows it")
    tap.same(town.apply(12, 3, "100.00", D[6], wait=6), ({}, 3), "what is signed by the old one is not ordered")
    row, _ = town.row("hub1", 1, "balance", D[6], "--owner", USCC_A)
    tap.same(row.get("held"), "0.00", "and has no effect")
    town.must("kill", "bank12")
    shutil.copy2(os.path.join(home, "sender.key"), os.path.join(root, "old.key"))
    shutil.copy2(other, os.path.join(home, "sender.key"))
    town.must("start", "bank12")
    row, status = town.apply(12, 4, "100.00", D[7])
    tap.same((row.get("name"), row.get("attested"), status), ("OK", True, 0), "the new one has")
    tap.ok(town.until(lambda: town.apply(12, 3, "100.00", D[6], wait=20)[0].get("name") == "OK"), "and what was asked with the old one can be asked again")
    row, _ = town.row("hub1", 1, "balance", D[6], "--owner", USCC_A)
    tap.same(row.get("held"), "100.00", "and is done once")


def a_key_changes_while_its_node_is_away():
    """What the node saved is of before the change: it follows with the new key, and is itself again at the block that names it."""
    home = town.path("nodes", "bank12", "keys")
    town.must("kill", "bank12")
    shutil.copy2(os.path.join(root, "old.key"), os.path.join(home, "sender.key"))
    tap.same(officers("member", *record(12, sender=public("sign", "bank12", "sender.key"))), "OK", "officers order a key of a bank whose node is away")
    town.must("start", "bank12")
    tap.ok(town.until(lambda: town.apply(12, 7, "100.00", D[14], wait=20)[0].get("name") == "OK"), "it comes back with that key, and sends")
    tap.same(town.audit("bank12").get("ok"), True, "and has what it had")


def a_key_is_wrong():
    """A fresh directory, and a key that is not the member's: the node follows, says which key it is, and goes on saying it."""
    home = town.home("bank13")
    key, kept, data = os.path.join(home, "keys", "sender.key"), os.path.join(root, "right.key"), os.path.join(root, "bank13.data")
    wrong = os.path.join(root, "wrong.key")
    subprocess.run([os.environ["KANHE_KEY"], "intl", "sign", wrong], check=True, capture_output=True)
    town.must("kill", "bank13")
    shutil.move(os.path.join(home, "data"), data)
    shutil.copy2(key, kept)
    shutil.copy2(wrong, key)
    town.must("start", "bank13")
    told = lambda: [event for event in town.events("bank13") if event["event"] == "still_follows"]
    tap.ok(town.until(told), "a node with all blocks and a wrong key says so")
    said = (told() or [{}])[0]
    tap.ok("sender.key" in said.get("why", "") and said.get("level") == "error", "and which it is", said)
    status, shown = town.tool("status")
    line = next(line for line in shown.splitlines() if line.startswith("bank13"))
    tap.same((status, line.split()[2]), (1, "follows"), "so does tools/cluster status")
    answer = subprocess.run(["curl", "-sk", "-w", "%{http_code}", town.urls["bank13"] + "/ready"], capture_output=True, text=True).stdout
    tap.ok(answer.endswith("503") and "follows" in answer, "and /ready, which says no", answer)
    row, _ = town.row("bank13", 1, "audit")
    tap.ok(row.get("name") == "NOT_READY" and "sender.key" in town.said, "whoever asks it is told it too", (row, town.said))
    town.must("kill", "bank13")
    shutil.rmtree(os.path.join(home, "data"))
    shutil.move(data, os.path.join(home, "data"))
    shutil.copy2(kept, key)
    town.must("start", "bank13")
    tap.ok(town.until(lambda: town.apply(13, 9, "100.00", D[13], wait=20)[0].get("name") == "OK"), "with the right one it goes on")
    tap.same(town.audit("bank13").get("ok"), True, "and answers")


def a_bank_is_expelled():
    tap.same(officers("member", *record(14, status="expelled")), "OK", "officers expel a bank")
    tap.ok(town.until(lambda: next(m["status"] for m in register("bank14")["members"] if m["id"] == 14) == "expelled"), "its node knows")
    row, status = town.apply(14, 2, "100.00", D[8], wait=8)
    tap.ok(status != 0 and row.get("name") != "OK", "what it asks at its node is refused", (row, status, town.said))
    row, _ = town.row("hub1", 1, "balance", D[8], "--owner", USCC_A)
    tap.same(row.get("held"), "0.00", "and has no effect")
    refused = lambda row, status: status != 0 and row.get("name") != "OK"
    tap.ok(town.until(lambda: refused(*town.row("hub1", 14, "balance", D[8], "--owner", USCC_A))), "and a hub refuses it", town.said)
    tap.same(officers("member", *record(14)), "REFUSED", "it does not come back")
    others_go_on("a bank is removed", "remove", "bank14", but=("bank14",))
    tap.ok(town.log_says("bank11", "peer_gone"), "they have no link to it any more")
    tap.same("bank14" in town.urls, False, "its node is taken away")
    tap.same(town.apply(11, 5, "100.00", D[8])[0].get("name"), "OK", "the others go on")


def a_configuration_is_wrong():
    """What cannot be read is not taken: the peers stay as they were; nor is what the file says of a start."""
    path = town.home("bank12", "node.conf")
    with open(path, encoding="utf-8") as f:
        good = f.read()
    kanhed = json.loads(open(town.home("bank12", "status.json"), encoding="utf-8").read())["pids"]["kanhed"]
    town.write("town/nodes/bank12/node.conf", good.replace("peers = (", "peers = ( 5,"))
    os.kill(kanhed, signal.SIGHUP)
    tap.ok(town.log_says("bank12", "peers_not_read"), "a configuration that is wrong is not taken")
    town.write("town/nodes/bank12/node.conf", good)
    tap.same(town.apply(12, 5, "100.00", D[11])[0].get("name"), "OK", "and the node goes on as it was")


def a_link_is_revoked():
    """A list of what the links' authority took back, read again by a node that runs: that certificate's links end, another of the member's is let in."""
    lists = Lists(town.path("links.pem"), town.path("links.key"), town.home("bank11"), "links_crl")
    path = town.home("bank11", "node.conf")
    town.must("kill", "bank11")
    events = lambda word: [event["member"] for event in town.events("bank11") if event["event"] == word]
    had = len(events("peer_up"))
    with open(path, encoding="utf-8") as f:
        text = f.read()
    town.write("town/nodes/bank11/node.conf", text.replace('ca = "links.pem";', 'ca = "links.pem"; crl = "links_crl.pem";'))
    town.must("start", "bank11")
    others = {member for member in (12, 13, 15)} | {next(m["id"] for m in register()["members"] if m["role"] == "hub")}
    tap.ok(town.until(lambda: set(events("peer_up")[had:]) == others), "its links to all four others are up", events("peer_up")[had:])
    had, before = len(events("peer_away")), events("peer_up").count(12)
    lists.revoke(town.home("bank12", "link.pem"))
    kanhed = json.loads(open(town.home("bank11", "status.json"), encoding="utf-8").read())["pids"]["kanhed"]
    os.kill(kanhed, signal.SIGHUP)
    tap.ok(town.until(lambda: 12 in events("peer_away")[had:]), "a revoked certificate's links end")
    time.sleep(3)
    tap.same(events("peer_up").count(12), before, "and do not come again")
    tap.same(set(events("peer_away")[had:]), {12}, "all others stay")
    tap.same(town.apply(12, 6, "100.00", D[12])[0].get("name"), "OK", "the others hear it, and the cluster goes on")


def a_hub_joins():
    others_go_on("a hub joins", "add", "hub")
    said = lambda: pick(register("hub2"), "hubs", "hub_quorum", "epoch")
    tap.ok(town.until(lambda: said() == {"hubs": 2, "hub_quorum": 2, "epoch": 2}), "a hub joins, with another key of all hubs", said())
    row, status = town.apply(15, 6, "500.00", D[9])
    tap.same((row.get("name"), row.get("attested"), status), ("OK", True, 0), "two of two attest")
    tap.ok(town.until(lambda: len({(a.get("executed_height"), a.get("content_digest")) for a in town.audits(["hub1", "hub2"])}) == 1), "both have one content")
    rows, status = town.rows("bank11", 11, "verify", town.write("ask.csv", owned([(9, "1000.00")])), "--attested")
    tap.same(({row["attested"] for row in rows}, status), ({True}, 0), "and are asked alike")
    proves(15, 6, "two_hubs.json", 2)
    town.must("kill", "hub2")
    tap.same(town.apply(15, 7, "100.00", D[10], wait=6), ({}, 3), "without it nothing is final")
    town.must("start", "hub2")
    tap.ok(town.until(lambda: town.apply(15, 7, "100.00", D[10], wait=20)[0].get("name") == "OK"), "until it is back")


def an_app_version_is_not_known():
    """Officers order another for a height. What is withdrawn stops nobody; else nodes that do not know it say so ahead, and stop there, all in one state."""
    nodes = ("bank11", "bank12", "bank13", "bank15", "hub1", "hub2")
    version = lambda: pick(register(), "app_version", "app_version_ahead")
    for words, name in ((("nosuch", "1"), "NOT_FOUND"), (("hold_ttl_applied", "36x"), "FORMAT")):
        tap.same(officers("rule", "--name", words[0], "--value", words[1]), name, f"what no ledger takes is not offered: rule {words[0]} {words[1]}")
    tap.same(officers("version", "--value", 2, "--from", register()["height"] + 3), "REFUSED", "another app version needs notice")
    tap.same(officers("version", "--value", 2, "--from", register()["height"] + 4000), "OK", "and is ordered for a height")
    tap.ok(all(town.log_says(name, "app_version_ahead") for name in nodes), "every node warns who runs it")
    tap.same(version(), {"app_version": 1, "app_version_ahead": 2}, "/v1/cluster shows it")
    tap.same((officers("version", "--value", 1), version()), ("OK", {"app_version": 1, "app_version_ahead": 0}), "it is withdrawn")
    first_block = register()["height"] + 40
    tap.same(officers("version", "--value", 2, "--from", first_block), "OK", "and ordered once more, for soon")
    tap.same(town.apply(15, 8, "100.00", D[13])[0].get("name"), "OK", "until then all goes on")
    tap.ok(all(town.log_says(name, "app_version_unknown") for name in nodes), "there every node stops, and says why")
    stopped = lambda: {(said.get("height"), said.get("digest")) for said in town.audits(nodes)}
    tap.ok(town.until(lambda: {height for height, _ in stopped()} == {first_block - 1} and len(stopped()) == 1), "at one height, in one state, and answers", (first_block, stopped()))


try:
    first = begins()
    for part in (a_bank_joins, a_validator_leaves, a_key_is_another, a_key_changes_while_its_node_is_away, a_key_is_wrong, a_bank_is_expelled, a_configuration_is_wrong, a_link_is_revoked, a_hub_joins, an_app_version_is_not_known):
        began = time.monotonic()
        part()
        print(f"# {part.__name__}: {time.monotonic() - began:.0f} s")
    tap.same((town.check(first)[1], town.check_otherwise(first)), (0, 0), "the first receipt still proves")
finally:
    town.tool("down")
    if os.environ.get("KEEP") is None:
        shutil.rmtree(root, ignore_errors=True)
tap.end()
