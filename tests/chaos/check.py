"""check: compares what clients were told with what nodes say. Pure: a dictionary (evidence.py) in, sentences about what is wrong out.

It shares nothing with the engine: its own sums of what was granted, held, repaid and consumed, from answers alone and from histories alone."""
from load import APPLY_CODES, BASE, cents, money

VIEWED = ("id", "bank", "code", "name", "state", "version", "currency", "amount", "height", "documents", "enterprise", "product", "repaid")
SAYS_WHERE_LIST = {"apply", "accept", "approve", "reject", "withdraw", "disburse", "repay", "reverse"}


def gives_back(row, source):
    """Is what an operation frees free again, or consumed for good?"""
    return row["operation"] != "repay" or source == "own-funds"


class Paper:
    """One document's balance as this checker adds it up."""

    def __init__(self):
        self.standing, self.consumed = {}, 0

    def move(self, financing, amount, back):
        before = self.standing.get(financing, 0)
        self.standing[financing] = amount
        if amount < before and not back:
            self.consumed += before - amount

    def total(self):
        return sum(self.standing.values()) + self.consumed


def is_done(row):
    return row["code"] == 0 and "financing" in row and row.get("amount") is not None and row["operation"] in SAYS_WHERE_LIST | {"lapse"}


def check_caps_by_history(hub, wrong):
    """The hub's own story of each document, an operation after another: never above its cap, and it ends at the balance told now."""
    steps = 0
    for serial, rows in hub["histories"].items():
        paper, height = Paper(), 0
        for row in rows:
            if row["height"] < height:
                wrong(f"history of {serial}: height {row['height']} after {height}")
            height = row["height"]
            if not is_done(row):
                continue
            steps += 1
            paper.move((row["bank"], row["financing"]), cents(row["amount"]), gives_back(row, row.get("source")))
            if paper.total() > BASE:
                wrong(f"document {serial} stands at {money(paper.total())} of {money(BASE)} after height {height}: {row}")
        balance = hub["balances"].get(serial) or {}
        if not balance:
            wrong(f"document {serial} has no balance")
            continue
        ours, theirs = (sum(paper.standing.values()), paper.consumed), (cents(balance["held"]) + cents(balance["used"]), cents(balance["consumed"]))
        if ours != theirs or cents(balance["cap"]) != BASE or cents(balance["free"]) != BASE - paper.total():
            wrong(f"document {serial}: its history adds up to {ours} held and consumed, its balance says {theirs}: {balance}")
    return steps


def check_caps_by_answers(evidence, wrong):
    """What clients were told, alone, in the order of heights: at the end of no height is a document above its cap."""
    moves, granted = [], set()
    for o in evidence["operations"]:
        row = o["answer"]
        if o["op"] == "import" or row is None or row["code"] != 0:
            continue
        if o["op"] == "apply":
            granted.add((o["bank"], o["id"]))
        moves.append((row["height"], row["version"], o, row))
    papers, touched, last = {}, set(), None
    for height, _, o, row in [*sorted(moves, key=lambda move: move[:2]), (None, 0, None, None)]:
        if height != last:
            for number in touched:
                if papers[number].total() > BASE:
                    wrong(f"by what clients were told document {number} stands at {money(papers[number].total())} after height {last}")
            touched, last = set(), height
        if o is None:
            break
        check_amounts(o, row, wrong)
        for line in row["documents"]:
            paper = papers.setdefault(line["number"], Paper())
            paper.move((o["bank"], o["id"]), cents(line["amount"]), o["op"] != "repay" or o["source"] == "own-funds")
            touched.add(line["number"])
    return papers, granted


def check_amounts(o, row, wrong):
    """What was granted is what was asked for, or less where that was allowed."""
    stands = sum(cents(line["amount"]) for line in row["documents"])
    if o["op"] == "apply":
        asked = dict(o["parts"])
        for line in row["documents"]:
            part = asked.get(int(line["number"][10:]))
            if part is None or (not o["partial"] and cents(line["amount"]) != part):
                wrong(f"financing {o['id']} of {o['bank']} was granted {line['amount']} on {line['number']}, asked {part}")
        if stands > sum(asked.values()):
            wrong(f"financing {o['id']} of {o['bank']} was granted {money(stands)}, asked {money(sum(asked.values()))}")
        if cents(row["amount"]) != stands:
            wrong(f"financing {o['id']} of {o['bank']}: {row['amount']} in all, {money(stands)} on its documents")
    elif o["op"] == "disburse" and (stands != cents(row["amount"]) or (o["amount"] is not None and cents(row["amount"]) != o["amount"])):
        wrong(f"financing {o['id']} of {o['bank']}: disbursed {row['amount']}, {money(stands)} on its documents, asked {o['amount']}")
    elif o["op"] in ("reject", "withdraw", "reverse") and stands != 0:
        wrong(f"financing {o['id']} of {o['bank']} is {row['state']} and still holds {money(stands)}")


def index_of(hub):
    """{(bank, financing, operation): rows with their document's number}"""
    found = {}
    for serial, rows in hub["histories"].items():
        for row in rows:
            if row["operation"] in SAYS_WHERE_LIST and "financing" in row:
                found.setdefault((row["bank"], row["financing"], row["operation"]), []).append((int(serial), row))
    return found


def check_told(evidence, hub, wrong):
    """Every answer is in the log as it was told; what is in the log was asked for. Returns how many were looked up, and those granted unheard."""
    index, looked, asked, unheard = index_of(hub), 0, {}, 0
    for o in evidence["operations"]:
        if o["answer"] is None:
            wrong(f"no answer to {o['op']} of {o['id']} by {o['bank']}, sent {o['tries']} times")
            continue
        if o["op"] == "import":
            for serial, _ in o["parts"]:
                rows = hub["histories"].get(str(serial)) or [{}]
                if rows[0].get("operation") != "document" or rows[0].get("effect") != "stored":
                    wrong(f"document {serial} was acknowledged and is not in the log: {rows[:1]}")
            continue
        looked += 1
        there = index.get((o["bank"], o["id"], o["op"]), [])
        for line in o["answer"]["documents"]:
            untouched = o["answer"]["code"] == 0 and cents(line["allocated"]) == 0  # what is free on those before it was enough
            if not untouched and not any(is_that(row, serial, line, o["answer"]) for serial, row in there):
                wrong(f"{o['op']} of {o['id']} by {o['bank']}, sent {o['tries']} times, was told {o['answer']['name']} version {o['answer']['version']} at height "
                      f"{o['answer']['height']} with {line}; the log says {[row for _, row in there][:4]}")
        if not o["answer"]["documents"] and o["answer"]["code"] == 0:
            wrong(f"{o['op']} of {o['id']} by {o['bank']} was granted on no document")
    for o in evidence["operations"]:
        asked.setdefault((o["bank"], o["id"], o["op"]), []).append(o)
    for key, rows in index.items():
        done = {row["version"] for _, row in rows if row["code"] == 0}
        told = {o["answer"]["version"] for o in asked.get(key, []) if o["answer"] and o["answer"]["code"] == 0}
        again = any(o["tries"] > 1 for o in asked.get(key, []))
        if key not in asked:
            wrong(f"nobody asked for {key}: {rows[0][1]}")
        elif done - told and not again:
            wrong(f"{key}: done to versions {sorted(done - told)}, and nobody was told")
        unheard += len(done - told)
    return looked, unheard


def is_that(row, serial, line, answer):
    if serial != int(line["number"][10:]) or row["height"] != answer["height"]:
        return False
    if answer["code"] != 0:
        return row["code"] in (answer["code"], line["code"])
    return all(row[key] == value for key, value in (("code", 0), ("version", answer["version"]), ("state", answer["state"]), ("amount", line["amount"]),
                                                     ("allocated", line["allocated"])))


def check_sums(papers, hub, unheard, wrong):
    """Where everybody was told everything, what clients were told adds up to the balances."""
    if unheard:
        return
    for serial, balance in hub["balances"].items():
        paper = papers.get(balance.get("number"), Paper())
        ours = (sum(paper.standing.values()), paper.consumed)
        theirs = (cents(balance["held"]) + cents(balance["used"]), cents(balance["consumed"])) if balance else None
        if ours != theirs:
            wrong(f"document {serial}: what clients were told adds up to {ours} held and consumed, the hub says {theirs}")


def check_digests(evidence, wrong):
    count = 0
    for height in sorted({height for said in evidence["digests"].values() for height in said}, key=int):
        at = {node: said.get(height) for node, said in evidence["digests"].items()}
        count += 1
        if len(set(at.values())) != 1 or not all(isinstance(d, str) and len(d) == 64 for d in at.values()):
            wrong(f"digests differ at height {height}: {at}")
    return count


def check_views(evidence, wrong):
    count = 0

    def shown(rows):
        return {row["id"]: {key: row.get(key) for key in VIEWED} for row in rows}
    for name, hub in evidence["hubs"].items():
        for bank, view in evidence["views"].items():
            sources = [(f"bank {bank}'s node", shown(view)), (f"the copy of {name}", shown(hub["copy"]["financings"][bank]))]
            there = shown(hub["financings"][bank])
            count += len(there)
            for who, here in sources:
                for id_ in sorted(here.keys() | there.keys()):
                    if here.get(id_) != there.get(id_):
                        wrong(f"financing {id_} of {bank}: {who} says {here.get(id_)}, {name} {there.get(id_)}")
    return count


def check_hubs(evidence, wrong):
    contents = set()
    for name, hub in evidence["hubs"].items():
        live, copy = hub["audit"][0] if hub["audit"] else {}, hub["copy"]["audit"][0] if hub["copy"]["audit"] else {}
        contents |= {live.get("content_digest"), copy.get("content_digest")}
        if live.get("ok") is not True or copy.get("ok") is not True:
            wrong(f"the audit of {name}: {live}, of its copy: {copy}")
        for serial, rows in hub["copy"]["histories"].items():
            live_rows = [{key: value for key, value in row.items() if key != "row"} for row in hub["histories"][serial]]
            if rows != live_rows:
                wrong(f"history of {serial}: {name} and its copy differ")
    if len(contents) != 1:
        wrong(f"hubs and their copies have several contents: {contents}")


def newest_of(hub):
    """{(bank, financing): its newest row}; of equal heights the one that stands last in a document's history."""
    found = {}
    for rows in hub["histories"].values():
        for row in rows:
            if row["operation"] in SAYS_WHERE_LIST and "financing" in row:
                before = found.get((row["bank"], row["financing"]))
                if before is None or (row["height"], row["version"]) >= (before["height"], before["version"]):
                    found[row["bank"], row["financing"]] = row
    return found


def check_receipts(evidence, hub, wrong):
    newest, proven = newest_of(hub), 0
    for one in evidence["receipts"]:
        check, row = one.get("check", {}), newest.get((one["bank"], one["financing"]), {})
        words = (check.get("operation"), check.get("code"), check.get("height"))
        second = f"proven: bank {one['bank']}, financing {one['financing']}, operation {words[0]}, outcome {words[1]}, height {words[2]}"
        if one["http"] != 200 or check.get("proven") is not True or one["second"] != second or one["statuses"] != [0, 0]:
            wrong(f"the receipt of {one['financing']} of {one['bank']} is not proven: {one}")
        elif (check["bank"], check["financing"], *words) != (one["bank"], one["financing"], row.get("operation"), row.get("code"), row.get("height")):
            wrong(f"the receipt of {one['financing']} of {one['bank']} proves {words}, the newest operation is {row}")
        else:
            proven += 1
    return proven


def check(evidence):
    """(what is wrong, [(what, how much)])"""
    found, table = [], []
    operations = [o for o in evidence["operations"] if o["op"] != "import"]
    table.append(("operations sent", len(operations)))
    table.append(("  sent more than once", sum(o["tries"] > 1 for o in operations)))
    table.append(("  granted", sum(bool(o["answer"]) and o["answer"]["code"] == 0 for o in operations)))
    table.append(("  refused: " + ", ".join(sorted({o["answer"]["name"] for o in operations if o["answer"] and o["answer"]["code"] in APPLY_CODES
                                                     and o["answer"]["code"] != 0})), sum(bool(o["answer"]) and o["answer"]["code"] != 0 for o in operations)))
    found += evidence["strange"]
    papers, _ = check_caps_by_answers(evidence, found.append)
    for name, hub in evidence["hubs"].items():
        table.append((f"{name}: documents", len(hub["histories"])))
        table.append((f"{name}: steps added up", check_caps_by_history(hub, found.append)))
        looked, unheard = check_told(evidence, hub, found.append)
        table.append((f"{name}: answers looked up in the log", looked))
        table.append((f"{name}: done, and told otherwise or not at all (sent again)", unheard))
        check_sums(papers, hub, unheard, found.append)
        table.append((f"{name}: receipts proven", check_receipts(evidence, hub, found.append)))
    table.append(("heights whose digest was compared at every node", check_digests(evidence, found.append)))
    table.append(("financings compared with banks' nodes", check_views(evidence, found.append)))
    check_hubs(evidence, found.append)
    return found, table
