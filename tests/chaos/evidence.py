"""evidence: what nodes say when all is over, gathered for the checker: one dictionary, written to evidence.json."""
import json
import os
import random
import shutil
import subprocess
import sys
import time

from load import number_of
from town import REGULATOR, ROOT, Trouble

HEIGHTS, RECEIPTS, COPIED = 300, 5, 25  # how many heights are compared; receipts a bank; histories of a copied directory
SETTLE_S, QUIET_S, PROVE_S = 300, 4, 20


def kanhe():
    return os.environ.get("KANHE_BIN") or os.path.join(ROOT, "build/release/tools/kanhe/kanhe")


def embedded(data, *words):
    """The embedded command's rows; a status other than 0 and 1 is trouble."""
    done = subprocess.run([kanhe(), "--data", data, "--json", *map(str, words)], capture_output=True, text=True, timeout=900)
    if done.returncode not in (0, 1):
        raise Trouble(f"kanhe {' '.join(map(str, words))}: {done.stderr.strip()[-400:]}")
    return [json.loads(line) for line in done.stdout.splitlines()]


def settle(town, say):
    """Waits until all nodes are at one height or above it, with one digest there, and what hubs attested last is the same and stays so."""
    began, since, before = time.monotonic(), None, None
    while time.monotonic() - began < SETTLE_S:
        time.sleep(0.5)
        now = [audit(town, node) for node in town.nodes]
        if any(one is None for one in now):
            since = None
            continue
        height = min(one["height"] for one in now)
        at = [audit(town, node, height) for node in town.nodes]
        same = all(at) and len({one["digest"] for one in at}) == 1
        attested = {(one["attested_height"], one["state_digest"]) for one in now}
        state = (attested, at[0]["digest"]) if same and len(attested) == 1 else None
        if state is None or state != before:
            since, before = time.monotonic(), state
        elif time.monotonic() - since >= QUIET_S:
            say(f"all nodes at height {height}, attested to {now[0]['attested_height']}, after {time.monotonic() - began:.0f} s")
            return height
    raise Trouble(f"nodes are not at one state after {SETTLE_S} s: " + json.dumps(dict(zip((node.name for node in town.nodes), now))))


def audit(town, node, height=None):
    client = town.client(node.party, node, timeout=10)
    try:
        status, rows, end = client.ask("GET", "/v1/audit" + (f"?height={height}" if height is not None else ""))
        return rows[0] if status == 200 and end and rows else None
    except OSError:
        return None
    finally:
        client.close()


def digests(town, heights):
    """{node: {height: digest}}"""
    said = {}
    for node in town.nodes:
        client, said[node.name] = town.client(node.party, node), {}
        for height in heights:
            status, rows, _ = client.ask("GET", f"/v1/audit?height={height}")
            said[node.name][str(height)] = rows[0]["digest"] if status == 200 and rows else f"HTTP {status}"
        client.close()
    return said


def papers(town, hub, serials):
    """A hub's histories and balances of all documents, for the regulator."""
    client, histories, balances = town.client(REGULATOR, hub, timeout=120), {}, {}
    for serial in serials:
        document = f"document=export_declaration:{number_of(serial)}"
        histories[str(serial)] = client.all(f"/v1/history?{document}")
        status, rows, _ = client.ask("GET", f"/v1/balance?{document}")
        balances[str(serial)] = rows[0] if status == 200 and rows else {}
    client.close()
    return histories, balances


def receipts(town, rnd, lists, folder):
    """A sample of each bank's financings: the receipt from its node, and what two checkers say of it, offline."""
    os.makedirs(folder, exist_ok=True)
    genesis, said = os.path.join(town.dir, "genesis.json"), []
    for node in town.banks:
        client, mine = town.client(node.party, node), lists[str(node.party)]
        for row in rnd.sample(mine, min(RECEIPTS, len(mine))):
            status, text = receipt(client, row["id"])
            path = os.path.join(folder, f"{node.party}.{row['id']}.json")
            with open(path, "wb") as f:
                f.write(text)
            one = {"bank": node.party, "financing": row["id"], "http": status, "file": path}
            if status == 200:
                first = subprocess.run([kanhe(), "--json", "check", path, "--genesis", genesis], capture_output=True, text=True)
                second = subprocess.run([sys.executable, os.path.join(ROOT, "tests/proofs/check_receipt.py"), path, genesis], capture_output=True, text=True)
                one.update(check=json.loads(first.stdout or "{}"), second=second.stdout.strip(), statuses=[first.returncode, second.returncode])
            said.append(one)
        client.close()
    return said


def receipt(client, financing):
    """(HTTP status, text): what is not complete yet (a node that began anew asks the hubs what they said) is asked for again."""
    until = time.monotonic() + PROVE_S
    while True:
        status, text = client.text("GET", f"/v1/financings/{financing}/receipt")
        if status == 200 or time.monotonic() > until:
            return status, text
        time.sleep(0.2)


def gather(town, load, seed, folder, say):
    rnd, operations = random.Random(f"{seed} evidence"), load.operations()
    height = settle(town, say)
    told = sorted({o["answer"]["height"] for o in operations if o["answer"] and "height" in o["answer"]})
    heights = sorted(rnd.sample(told, min(HEIGHTS, len(told))) + [height])
    serials = sorted(serial for o in operations if o["op"] == "import" for serial, _ in o["parts"])
    evidence = {"seed": seed, "height": height, "operations": operations, "strange": load.strange(), "digests": digests(town, heights), "hubs": {}, "views": {}}
    for hub in town.hubs:
        histories, balances = papers(town, hub, serials)
        client = town.client(REGULATOR, hub, timeout=300)
        rows = client.all("/v1/financings")
        evidence["hubs"][hub.name] = {"histories": histories, "balances": balances, "audit": client.ask("GET", "/v1/audit")[1],
                                      "financings": {str(bank): [row for row in rows if row["bank"] == bank] for bank in town.bank_of.values()}}
        client.close()
    for node in town.banks:
        client = town.client(node.party, node, timeout=120)
        evidence["views"][str(node.party)] = client.all("/v1/financings")
        client.close()
    say("nodes were asked")
    evidence["receipts"] = receipts(town, rnd, evidence["views"], os.path.join(folder, "receipts"))
    say(f"{len(evidence['receipts'])} receipts were checked")
    town.down()
    for hub in town.hubs:
        evidence["hubs"][hub.name]["copy"] = copied(hub, rnd, serials, town.bank_of.values(), os.path.join(folder, "copy." + hub.name))
    say("copies of hubs were replayed")
    return evidence


def copied(hub, rnd, serials, banks, folder):
    """What the embedded command says of a copy of the stopped hub's directory."""
    shutil.copytree(hub.data, folder)
    said = {"audit": embedded(folder, "audit"), "financings": {str(bank): embedded(folder, "finance", "list", "--as", bank) for bank in banks},
            "histories": {str(serial): embedded(folder, "history", f"export_declaration:{number_of(serial)}")
                          for serial in rnd.sample(serials, min(COPIED, len(serials)))}}
    shutil.rmtree(folder)
    return said
