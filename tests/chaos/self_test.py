"""self_test: is the checker any good? A small honest history, made with the embedded engine on one machine, must pass; then it is told one lie
after another, and must notice each."""
import copy
import os
import shutil
import tempfile

from check import check
from evidence import embedded, kanhe
from load import BASE, ENTERPRISES, money, number_of, owner_of
from town import run

BANKS, SERIALS = (11, 12), range(1, 7)


def apply_for(bank, id_, parts, partial=False):
    return {"op": "apply", "bank": bank, "id": id_, "enterprise": owner_of(parts[0][0]), "partial": partial, "parts": parts, "tries": 1, "answer": None}


def event(bank, id_, word, expect, amount=None, source=""):
    return {"op": word, "bank": bank, "id": id_, "amount": amount, "source": source, "reason": "", "expect": expect, "tries": 1, "answer": None}


def script():
    """Two banks at six documents of 1000.00: grants, a partial one, refusals, and every event."""
    return [apply_for(11, 1, [[1, 60000]]), apply_for(12, 1, [[1, 50000]]), apply_for(12, 2, [[1, 50000]], True), apply_for(11, 2, [[2, 30000], [5, 20000]]),
            apply_for(11, 3, [[3, 99999]]), apply_for(12, 3, [[3, 2]]), apply_for(12, 4, [[6, 1000]]), apply_for(11, 4, [[4, 1000]]),
            event(11, 1, "accept", 1), event(11, 1, "approve", 2), event(11, 1, "disburse", 3, 40000), event(11, 1, "repay", 4, 10000, "collection"),
            event(11, 1, "repay", 5, 10000, "own-funds"), event(11, 1, "repay", 6, 20000), event(12, 4, "reject", 1), event(11, 4, "withdraw", 1),
            event(11, 2, "accept", 1), event(11, 2, "approve", 2), event(11, 2, "disburse", 3), event(11, 2, "reverse", 4)]


def perform(data, o):
    if o["op"] == "apply":
        words = ["apply", "--as", o["bank"], "--id", o["id"], "--enterprise", o["enterprise"], "--product", "export_receivable", "--currency", "USD",
                 "--amount", money(sum(part for _, part in o["parts"])), *(["--allow-partial"] if o["partial"] else [])]
        for serial, part in o["parts"]:
                words += ["--doc", f"export_declaration:{number_of(serial)}" + ("" if o["partial"] else f"={money(part)}")]
    else:
        words = [o["op"], o["id"], "--as", o["bank"], "--expect", o["expect"]]
        words += ["--amount", money(o["amount"])] if o["amount"] else []
        words += ["--source", o["source"]] if o["source"] else []
        words += ["--reason", "customer_request"] if o["op"] in ("reject", "withdraw") else []
    o["answer"] = embedded(data, "finance", *words)[0]


def honest(folder):
    data, papers = os.path.join(folder, "data"), os.path.join(folder, "papers.csv")
    run(kanhe(), "--data", data, "init")
    for id_, role in ((1, "regulator"), (11, "bank"), (12, "bank")):
        embedded(data, "party", "add", "--id", id_, "--role", role, "--name", f"Party {id_}")
    for id_, uscc in ENTERPRISES.items():
        embedded(data, "party", "add", "--id", id_, "--role", "enterprise", "--name", f"Party {id_}", "--uscc", uscc)
    with open(papers, "w") as f:
        f.write("kind,number,owner_id,currency,amount,date\n")
        f.writelines(f"export_declaration,{number_of(serial)},{ENTERPRISES[owner_of(serial)]},USD,{money(BASE)},2026-11-01\n" for serial in SERIALS)
    brought = {"op": "import", "bank": 201, "id": 1, "parts": [[serial, BASE] for serial in SERIALS], "tries": 1, "answer": embedded(data, "import", papers)[0]}
    operations = script()
    for o in operations:
        perform(data, o)
    lists = {str(bank): embedded(data, "finance", "list", "--as", bank) for bank in BANKS}
    histories = {str(serial): embedded(data, "history", f"export_declaration:{number_of(serial)}") for serial in SERIALS}
    audit, names = embedded(data, "audit"), ("hub1", "bank11", "bank12")
    hub = {"histories": histories, "financings": lists, "audit": audit, "copy": {"histories": copy.deepcopy(histories), "financings": copy.deepcopy(lists), "audit": audit},
           "balances": {str(serial): embedded(data, "balance", f"export_declaration:{number_of(serial)}")[0] for serial in SERIALS}}
    newest = operations[-1]["answer"]
    proven = {"proven": True, "bank": 11, "financing": 2, "operation": "reverse", "code": 0, "name": "OK", "height": newest["height"]}
    receipt = {"bank": 11, "financing": 2, "http": 200, "check": proven, "statuses": [0, 0],
               "second": f"proven: bank 11, financing 2, operation reverse, outcome 0, height {newest['height']}"}
    return {"operations": [brought, *operations], "strange": [], "digests": {name: {str(h): f"{h:064x}" for h in range(1, 30)} for name in names},
            "hubs": {"hub1": hub}, "views": copy.deepcopy(lists), "receipts": [receipt]}


# ---- lies: each spoils a copy of the honest evidence ----

def operation(evidence, bank, id_, word):
    return next(o for o in evidence["operations"] if (o["bank"], o["id"], o["op"]) == (bank, id_, word))


def row_of(evidence, serial, bank, id_, word):
    return next(row for row in evidence["hubs"]["hub1"]["histories"][str(serial)] if (row.get("bank"), row.get("financing"), row["operation"]) == (bank, id_, word))


def told_more(e):
    operation(e, 11, 4, "apply")["answer"]["documents"][0]["amount"] = "10.01"


def told_of_a_refusal(e):
    answer = operation(e, 12, 1, "apply")["answer"]
    answer.update(code=0, name="OK", state="APPLIED", version=1, amount="500.00")
    answer["documents"][0].update(code=0, name="OK", amount="500.00", allocated="500.00")


def refused_and_done(e):
    answer = operation(e, 11, 3, "apply")["answer"]
    answer.update(code=40, name="INSUFFICIENT", state=None, version=0)
    answer["documents"][0].update(code=40, name="INSUFFICIENT")


def another_height(e):
    operation(e, 11, 1, "accept")["answer"]["height"] += 1


def lost_from_the_log(e):
    rows = e["hubs"]["hub1"]["histories"]["4"]
    rows.remove(row_of(e, 4, 11, 4, "apply"))


def over_the_cap(e):
    """The log and the client agree, and yet it is too much."""
    row_of(e, 1, 12, 2, "apply").update(amount="400.01", allocated="400.01")
    answer = operation(e, 12, 2, "apply")["answer"]
    answer["amount"] = "400.01"
    answer["documents"][0].update(amount="400.01", allocated="400.01")


def consumed_comes_back(e):
    row_of(e, 1, 11, 1, "repay")["source"] = "own-funds"


def nobody_asked(e):
    e["hubs"]["hub1"]["histories"]["6"].append(dict(row_of(e, 6, 12, 4, "apply"), financing=77))


def no_answer(e):
    operation(e, 11, 2, "accept")["answer"] = None


def document_lost(e):
    e["hubs"]["hub1"]["histories"]["6"] = []


def balance_spoiled(e):
    e["hubs"]["hub1"]["balances"]["5"]["held"] = "0.01"


def another_digest(e):
    e["digests"]["bank12"]["17"] = "f" * 64


def no_digest(e):
    del e["digests"]["bank12"]["17"]


def view_lacks(e):
    e["views"]["12"].pop()


def view_differs(e):
    e["views"]["11"][0]["state"] = "APPROVED"


def not_proven(e):
    e["receipts"][0]["check"]["proven"] = False


def proves_another(e):
    e["receipts"][0]["check"]["operation"] = "disburse"
    e["receipts"][0]["second"] = e["receipts"][0]["second"].replace("reverse", "disburse")


def audit_fails(e):
    e["hubs"]["hub1"]["audit"] = [{"ok": False}]


def a_strange_answer(e):
    e["strange"].append("HTTP 500")


LIES = ((told_more, "was granted 10.01"), (told_of_a_refusal, "the log says"), (refused_and_done, "nobody was told"), (another_height, "the log says"),
        (lost_from_the_log, "the log says"), (over_the_cap, "document 1 stands at 1000.01"), (consumed_comes_back, "adds up to"), (nobody_asked, "nobody asked"),
        (no_answer, "no answer"), (document_lost, "is not in the log"), (balance_spoiled, "its balance says"), (another_digest, "digests differ"),
        (no_digest, "digests differ"), (view_lacks, "node says None"), (view_differs, "node says"), (not_proven, "is not proven"),
        (proves_another, "the newest operation is"), (audit_fails, "the audit"), (a_strange_answer, "HTTP 500"))


def self_test():
    """Prints TAP; 0 where the checker noticed everything."""
    folder = tempfile.mkdtemp(prefix="kanhe-chaos-")
    try:
        evidence = honest(folder)
    finally:
        shutil.rmtree(folder)
    print(f"1..{len(LIES) + 1}")
    found, _ = check(copy.deepcopy(evidence))
    failed = report(1, not found, "an honest history passes", found)
    for nth, (lie, words) in enumerate(LIES, 2):
        spoiled = copy.deepcopy(evidence)
        lie(spoiled)
        found, _ = check(spoiled)
        failed += report(nth, any(words in text for text in found), f"noticed: {lie.__name__.replace('_', ' ')}", found)
    return 1 if failed else 0


def report(nth, fine, name, more):
    print(f"{'ok' if fine else 'not ok'} {nth} - {name}")
    for text in more[:10] if not fine else []:
        print(f"# {text}")
    return 0 if fine else 1
