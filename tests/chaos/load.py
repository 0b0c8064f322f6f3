"""load: banks that fight for the same documents, and a customs source that brings more. Each client keeps its own history: what it sent,
what it was told, and what has no answer, which it sends again, the same, until it has one."""
import json
import os
import random
import threading
import time

from town import SOURCE

ENTERPRISES = {101: "91350211M000100Y46", 102: "91310115MA1K35FF5J", 103: "91440300MA5DA1KF5H"}
BASE = 100000  # of every document, in cents
APPLY_CODES = {0: "OK", 40: "INSUFFICIENT", 41: "EXHAUSTED", 50: "DUP_OWN", 51: "DUP_HELD_OTHER", 52: "DUP_FINANCED_OTHER", 53: "SIMILAR"}
NOT_YET = {72, 76, 90}  # RATE_LIMITED, CAPACITY, NOT_CHECKED: nothing was done
NEXT = {"APPLIED": (("accept", 14), ("withdraw", 3), ("reject", 3)), "ACCEPTED": (("approve", 15), ("withdraw", 2), ("reject", 3)),
        "APPROVED": (("disburse", 18), ("withdraw", 1)), "DISBURSED": (("repay", 19), ("reverse", 1)), "PART_REPAID": (("repay", 1),)}
AGAIN_S = 0.3


def cents(text):
    return int(text.replace(".", ""))


def money(amount):
    return f"{amount // 100}.{amount % 100:02d}"


def number_of(serial):
    """A declaration's number: place and year, then the serial."""
    return f"3101202600{serial:08d}"


class History:
    """One client's: every sending and every answer, in memory and as lines of a file."""

    def __init__(self, path):
        self.file, self.operations, self.odd = open(path, "a", buffering=1), [], []

    def write(self, word, operation):
        self.file.write(json.dumps({"at": round(time.time(), 3), "what": word, **operation}) + "\n")

    def strange(self, text):
        self.odd.append(text)
        self.file.write(json.dumps({"at": round(time.time(), 3), "what": "strange", "text": text}) + "\n")


class Stock:
    """Documents that there are to fight for; more come as customs brings them."""

    def __init__(self, hot):
        self.hot, self.serials, self.owner, self.lock = hot, [], {}, threading.Lock()

    def add(self, serials):
        with self.lock:
            for serial in serials:
                self.serials.append(serial)
                self.owner[serial] = owner_of(serial)

    def choose(self, rnd, count):
        """Documents of one owner, from the newest `hot` of them."""
        with self.lock:
            some = self.serials[-self.hot:]
            first = rnd.choice(some)
            others = [serial for serial in some if self.owner[serial] == self.owner[first] and serial != first]
        return self.owner[first], [first, *rnd.sample(others, min(count - 1, len(others)))]


def owner_of(serial):
    return sorted(ENTERPRISES)[serial % len(ENTERPRISES)]


class Bank(threading.Thread):
    """One thread of a bank: it alone speaks of the financings that it began."""

    def __init__(self, town, node, lane, seed, stock, folder):
        super().__init__(name=f"{node.name}.{lane}", daemon=True)
        self.town, self.node, self.bank, self.stock = town, node, node.party, stock
        self.rnd = random.Random(f"{seed} {self.name}")
        self.history = History(os.path.join(folder, self.name + ".jsonl"))
        self.next_id, self.live = lane * 10_000_000 + 1, {}  # live: financing -> the last row
        self.ending, self.give_up_at = False, float("inf")
        self.client = town.client(self.bank, node)
        self.last_answer = time.monotonic()

    def run(self):
        try:
            while not self.ending:
                self.round(self.applications(self.rnd.choice((1, 1, 2, 4, 8, 16))))
                if not self.ending:
                    self.round(self.events(self.rnd.choice((4, 8, 16, 32))))
        except Exception as trouble:  # told by the checker: a history that broke off is none
            self.history.strange(f"{self.name} ended: {type(trouble).__name__}: {trouble}")

    # ---- what to ask

    def applications(self, count):
        partial = self.rnd.random() < 0.5
        return [self.application(partial) for _ in range(count)]

    def application(self, partial):
        """partial: so much as is free, taken from its documents in their order; else each its part, all or nothing."""
        enterprise, serials = self.stock.choose(self.rnd, self.rnd.choice((1, 1, 1, 2, 3)))
        parts = [self.rnd.randrange(500, 60001) for _ in serials]
        self.next_id += 1
        return {"op": "apply", "bank": self.bank, "id": self.next_id - 1, "enterprise": enterprise, "partial": partial,
                "parts": [[serial, part] for serial, part in zip(serials, parts)], "tries": 0, "answer": None}

    def events(self, count):
        chosen = self.rnd.sample(sorted(self.live), min(count, len(self.live)))
        return [self.event(self.live[financing]) for financing in chosen]

    def event(self, row):
        words, weights = zip(*NEXT[row["state"]])
        word, amount, source, reason = self.rnd.choices(words, weights)[0], None, "", ""
        if word == "disburse" and self.rnd.random() < 0.5:
            amount = self.rnd.randrange(1, cents(row["amount"]) + 1)
        if word == "repay":
            owed = sum(cents(line["amount"]) for line in row["documents"])
            amount = owed if self.rnd.random() < 0.6 else self.rnd.randrange(1, owed + 1)
            source = self.rnd.choice(("own-funds", "own-funds", "own-funds", "collection", ""))
        if word in ("reject", "withdraw"):
            reason = "customer_request"
        return {"op": word, "bank": self.bank, "id": row["id"], "amount": amount, "source": source, "reason": reason,
                "expect": row["version"], "tries": 0, "answer": None}

    # ---- asking until it is answered

    def round(self, operations):
        self.history.operations += operations
        while operations and time.monotonic() < self.give_up_at:
            for operation in operations:
                operation["tries"] += 1
                self.history.write("sent", operation)
            try:
                self.take(operations, *self.send(operations))
            except OSError:
                pass
            operations = [operation for operation in operations if operation["answer"] is None]
            if operations:
                time.sleep(AGAIN_S * (0.5 + self.rnd.random()))

    def send(self, operations):
        if operations[0]["op"] == "apply":
            lines = ["id,enterprise,product,amount,currency,kind,number,issuer,allocated"]
            for o in operations:
                total = money(sum(part for _, part in o["parts"]))
                lines += [f"{o['id']},{o['enterprise']},export_receivable,{total},USD,export_declaration,{number_of(serial)},,{'' if o['partial'] else money(part)}"
                          for serial, part in o["parts"]]
            path = "/v1/financings/file?name=a.csv" + ("&allow_partial=true" if operations[0]["partial"] else "")
        else:
            lines = ["id,event,amount,source,reason,expect"]
            lines += [f"{o['id']},{o['op']},{'' if o['amount'] is None else money(o['amount'])},{o['source']},{o['reason']},{o['expect']}" for o in operations]
            path = "/v1/financings/events?name=e.csv"
        return self.client.ask("POST", path, "\n".join(lines) + "\n")

    def take(self, operations, status, rows, end):
        if status in (429, 502, 503) or (status == 500 and self.node.name in self.town.troubled):
            return
        if status != 200:
            self.history.strange(f"HTTP {status}, {(end or {}).get('message')}, for {operations[0]}")
            return
        waiting = {operation["id"]: operation for operation in operations}
        for row in rows:
            operation = waiting.get(row.get("id"))
            if operation is None or row["code"] in NOT_YET or not row.get("attested"):
                if operation is None:
                    self.history.strange(f"a row that nobody asked for: {row}")
                elif row["code"] not in NOT_YET:
                    self.history.strange(f"refused before it was ordered: {row}")
                continue
            operation["answer"] = row
            self.history.write("told", operation)
            self.last_answer = time.monotonic()
            self.keep(operation, row)

    def keep(self, operation, row):
        fine = row["code"] in APPLY_CODES if operation["op"] == "apply" else row["code"] == 0
        if not fine:
            self.history.strange(f"{operation['op']} of {operation['id']} came out {row['name']}, sent {operation['tries']} times")
        if row["state"] in NEXT:
            self.live[row["id"]] = row
        else:
            self.live.pop(row["id"], None)


class Customs(threading.Thread):
    """Brings documents at a hub, a few at a time; a file without its answer is sent again."""

    def __init__(self, town, seed, stock, folder, every_s):
        super().__init__(name="customs", daemon=True)
        self.town, self.stock, self.every_s, self.rnd = town, stock, every_s, random.Random(f"{seed} customs")
        self.history, self.ending, self.give_up_at = History(os.path.join(folder, "customs.jsonl")), False, float("inf")
        self.next_serial, self.hub = 1, 0
        self.last_answer = time.monotonic()

    def bring(self, count):
        serials = range(self.next_serial, self.next_serial + count)
        text = "kind,number,owner_id,currency,amount,date\n" + "".join(
            f"export_declaration,{number_of(serial)},{ENTERPRISES[owner_of(serial)]},USD,{money(BASE)},2026-11-01\n" for serial in serials)
        operation = {"op": "import", "bank": SOURCE, "id": serials[0], "parts": [[serial, BASE] for serial in serials], "tries": 0, "answer": None}
        self.history.operations.append(operation)
        self.next_serial += count
        while operation["answer"] is None and time.monotonic() < self.give_up_at:
            operation["tries"] += 1
            self.history.write("sent", operation)
            client = self.town.client(SOURCE, self.town.hubs[self.hub % len(self.town.hubs)])
            try:
                status, rows, whole = client.ask("POST", f"/v1/documents?name=d{serials[0]}.csv", text)
                if status == 200 and whole and rows and rows[-1]["refused"] == 0:
                    operation["answer"] = rows[-1]
                    self.history.write("told", operation)
                    self.stock.add(serials)
                    self.last_answer = time.monotonic()
                    return
                if status == 200 and whole:
                    self.history.strange(f"documents refused: {rows}")
            except OSError:
                pass
            finally:
                client.close()
            self.hub += 1
            time.sleep(AGAIN_S)

    def run(self):
        try:
            while not self.ending:
                until = time.monotonic() + self.every_s * (0.5 + self.rnd.random())
                while time.monotonic() < until and not self.ending:
                    time.sleep(0.1)
                if not self.ending:
                    self.bring(self.rnd.randrange(5, 30))
        except Exception as trouble:
            self.history.strange(f"customs ended: {type(trouble).__name__}: {trouble}")


class Load:
    def __init__(self, town, seed, folder, lanes, documents, hot, every_s):
        os.makedirs(folder, exist_ok=True)
        self.stock = Stock(hot)
        self.customs = Customs(town, seed, self.stock, folder, every_s)
        self.customs.bring(documents)
        self.clients = [Bank(town, node, lane, seed, self.stock, folder) for node in town.banks for lane in range(1, lanes + 1)] + [self.customs]
        for client in self.clients:
            client.start()

    def counts(self):
        told = sum(operation["answer"] is not None for client in self.clients for operation in list(client.history.operations))
        return told, sum(len(client.history.operations) for client in self.clients)

    def end(self, patience_s):
        """Nothing new; what is under way is asked until it is answered, for so long."""
        for client in self.clients:
            client.ending, client.give_up_at = True, time.monotonic() + patience_s
        for client in self.clients:
            client.join(patience_s + 120)

    def operations(self):
        return [operation for client in self.clients for operation in client.history.operations]

    def strange(self):
        return [text for client in self.clients for text in client.history.odd]
