"""What the scripts about a cluster share: tools/cluster on a directory, and the command at its nodes."""
import re
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from hub import *

ROOT = os.environ["KH_SOURCE_ROOT"]
TOOL = os.path.join(ROOT, "tools", "cluster")
os.environ.update(KANHE_BIN=COMMAND, KANHED_BIN=KANHED, KANHE_KEY_BIN=os.environ["KANHE_KEY"], KANHE_LEAF_BIN=os.environ["KANHE_LEAF"],
                  KANHE_OPENING_BIN=os.environ["KANHE_OPENING"])


class Town:
    def __init__(self, root, name, *words):
        """`tools/cluster up` of root/name with these words."""
        self.root, self.dir, self.words = root, os.path.join(root, name), words

    def path(self, *words):
        return os.path.join(self.dir, *words)

    def tool(self, verb, *words):
        done = subprocess.run([TOOL, verb, self.dir, *words], capture_output=True, text=True, timeout=400)
        return done.returncode, done.stdout + done.stderr

    def must(self, verb, *words):
        status, said = self.tool(verb, *words)
        if status != 0:
            raise AssertionError(f"tools/cluster {verb} {' '.join(words)}: {status} {said}")
        return said

    def well(self, tap, what, verb, *words):
        """A test that the tool does it."""
        status, said = self.tool(verb, *words)
        if not tap.same(status, 0, what):
            print("# " + said.replace("\n", "\n# "))
        return status == 0

    def up(self):
        self.must("up", *self.words)
        self.look()

    def look(self):
        env = self.env()
        self.genesis = self.path(env["genesis"])
        self.urls = {n["name"]: n["url"] for n in env["nodes"]}
        self.certificates = {p["id"]: (self.path(p["cert"]), self.path(p["key"])) for p in env["parties"]}
        self.ca = self.path(env["ca"])

    def env(self):
        with open(self.path("env.json"), encoding="utf-8") as f:
            return json.load(f)

    def node(self, name):
        return next(n for n in self.env()["nodes"] if n["name"] == name)

    def home(self, name, *words):
        return self.path(self.node(name)["home"], *words)

    def pids(self):
        return [pid for n in self.env()["nodes"] for pid in n["pids"]]

    def log(self, name):
        with open(self.home(name, "kanhed.log"), encoding="utf-8", errors="replace") as f:
            return f.read()

    def events(self, name):
        """What kanhed said there, but for a line that it is writing."""
        return [json.loads(line) for line in self.log(name).splitlines() if line.startswith("{") and line.endswith("}")]

    def log_says(self, name, word, seconds=120):
        return self.until(lambda: word in self.log(name), seconds)

    def alerts(self):
        """What nodes said of members that lie."""
        return [line for n in self.env()["nodes"] for line in self.log(n["name"]).splitlines() if "cluster_alert" in line]

    def without_key(self, party):
        """The same certificate where the command finds no key to sign with."""
        folder = os.path.join(self.root, "unsigned")
        os.makedirs(folder, exist_ok=True)
        return tuple(shutil.copy(file, folder) for file in self.certificates[party])

    def raw(self, node, party, *words, timeout=120, wait=40, signed=True):
        """The command at a node, as a party, which signs where it has a key. wait: its --timeout, patient by default: the machine may be busy."""
        cert, key = self.certificates[party] if signed else self.without_key(party)
        return subprocess.run([COMMAND, "--connect", self.urls[node], "--ca", self.ca, "--cert", cert, "--key", key, "--timeout", str(wait), "--json", *map(str, words)],
                              capture_output=True, text=True, timeout=timeout, cwd=self.root)

    def rows(self, node, party, *words, **more):
        done = self.raw(node, party, *words, **more)
        self.said = done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()], done.returncode

    def row(self, node, party, *words, **more):
        rows, status = self.rows(node, party, *words, **more)
        return (rows[0] if rows else {}), status

    def apply(self, bank, id_, amount, *documents, enterprise=101, **more):
        docs = [word for document in documents for word in ("--doc", document)]
        return self.row(f"bank{bank}", bank, "finance", "apply", "--id", id_, "--enterprise", enterprise, "--product", "export_receivable",
                        "--amount", amount, "--currency", "USD", *docs, **more)

    def event(self, event, bank, id_, *more):
        return self.row(f"bank{bank}", bank, "finance", event, id_, *more)

    def audit(self, node, height=None):
        """As the regulator, whom every node answers."""
        return self.row(node, 1, "audit", *(["--height", height] if height else []))[0]

    def audits(self, nodes, height=None):
        with ThreadPoolExecutor(len(nodes)) as pool:
            return list(pool.map(lambda node: self.audit(node, height), nodes))

    def metric(self, name, of):
        """A number of a node's metrics; None: it does not answer, or has none of that name."""
        context = ssl.create_default_context(cafile=self.ca)
        context.load_cert_chain(*self.certificates[1])
        host, port = self.urls[of].removeprefix("https://").rsplit(":", 1)
        opened = http.client.HTTPSConnection(host, int(port), context=context, timeout=30)
        try:
            opened.request("GET", "/metrics")
            return next((int(line.split()[1]) for line in opened.getresponse().read().decode().splitlines() if line.startswith(name + " ")), None)
        except OSError:
            return None
        finally:
            opened.close()

    def until(self, condition, seconds=120):
        """Asks again until it is so, or time is up."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if condition():
                return True
            time.sleep(0.2)
        return False

    def write(self, name, text):
        path = os.path.join(self.root, name)
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
        return path

    def prove(self, bank, id_, name):
        """A receipt's file; asked for again where its node is behind."""
        path = os.path.join(self.root, name)
        self.until(lambda: self.raw(f"bank{bank}", bank, "prove", id_, "-o", path).returncode == 0)
        return path

    def check(self, receipt):
        """By the command: the row and the exit status."""
        done = subprocess.run([COMMAND, "check", receipt, "--genesis", self.genesis, "--json"], capture_output=True, text=True, timeout=60)
        return json.loads(done.stdout) if done.stdout else {}, done.returncode

    def check_otherwise(self, receipt):
        """By the second checker: exit status."""
        return subprocess.run([sys.executable, os.path.join(ROOT, "tests", "proofs", "check_receipt.py"), receipt, self.genesis], capture_output=True, timeout=60).returncode


def owned(lines):
    return HEADER + "".join(f"export_declaration,{declaration(serial)},{USCC_A},USD,{amount},2026-11-01\n" for serial, amount in lines)
