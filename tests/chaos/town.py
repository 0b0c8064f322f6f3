"""town: the cluster of a campaign: tools/cluster, what stands between its nodes, and calls to them."""
import http.client
import json
import os
import re
import socket
import ssl
import subprocess
import threading
from urllib.parse import quote

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
RELAY_PORTS = range(20000, 30000)  # below those that the kernel gives to outgoing connections
REGULATOR, SOURCE = 1, 201


class Trouble(Exception):
    """The campaign cannot go on; the message says why."""


def run(*command, limit=900):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=limit)
    if done.returncode != 0:
        raise Trouble(f"{' '.join(map(str, command))}: {(done.stderr + done.stdout).strip()[-600:]}")
    return done.stdout


class Node:
    def __init__(self, town, number, said):
        self.name, self.role, self.url = said["name"], said["role"], said["url"]
        self.home = os.path.join(town.dir, said["home"])
        self.party = town.bank_of.get(self.name, SOURCE)  # whose certificate asks it
        self.number, self.data = number, os.path.join(self.home, "data")

    def pids(self):
        """{"supervisor", "kanhed", "cometbft"}: as its supervisor said last."""
        try:
            with open(os.path.join(self.home, "status.json")) as f:
                return json.load(f)["pids"]
        except (OSError, ValueError, KeyError):
            return {}


class Client:
    """A party's connection to a node; opened again when it broke. One thread at a time."""

    def __init__(self, town, party, url, timeout=30):
        context = ssl.create_default_context(cafile=os.path.join(town.dir, "ca.pem"))
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.load_cert_chain(*(os.path.join(town.dir, "parties", f"{party}.{end}") for end in ("pem", "key")))
        host, _, port = url.removeprefix("https://").rpartition(":")
        self.connection = http.client.HTTPSConnection(host, int(port), context=context, timeout=timeout)

    def ask(self, method, path, body=None, kind="text/csv", accept="application/x-ndjson"):
        """(HTTP status, rows, the line that ends the answer or None): rows that came before a break stand. OSError where nothing came."""
        status, text = self.text(method, path, body, kind, accept)
        rows = []
        for line in text.decode(errors="replace").splitlines():
            try:
                row = json.loads(line)
            except ValueError:
                break
            if row.get("end"):
                return status, rows, row
            rows.append(row)
        return status, rows, None

    def all(self, path, limit=10000):
        """Every row of a list, page after page."""
        rows, after = [], ""
        while after is not None:
            more = f"{'&' if '?' in path else '?'}limit={limit}" + (f"&after={quote(str(after), safe='')}" if after else "")
            status, some, end = self.ask("GET", path + more)
            if status != 200 or end is None:
                raise Trouble(f"{path}: HTTP {status}, {some[:1]}")
            rows, after = rows + some, end.get("next")
        return rows

    def text(self, method, path, body=None, kind="text/csv", accept="application/json"):
        headers = {"Accept": accept}
        if body is not None:
            headers["Content-Type"] = kind
        try:
            self.connection.request(method, path, body, headers)
            response = self.connection.getresponse()
            try:
                return response.status, response.read()
            except http.client.IncompleteRead as broken:
                self.connection.close()
                return response.status, broken.partial
        except (OSError, http.client.HTTPException) as trouble:
            self.connection.close()
            raise OSError(str(trouble)) from trouble

    def close(self):
        self.connection.close()


class Relay:
    """What passes connections on between nodes, late or not at all: relay.c. Every dialled address in the nodes' configurations leads to it."""

    def __init__(self, program, nodes):
        self.program, self.nodes, self.lock = program, nodes, threading.Lock()
        self.process, self.cuts, self.ports = None, set(), {}

    def redirect(self):
        """Rewrites what a stopped cluster's nodes dial: links, CometBFT's peers, hubs."""
        free = iter(RELAY_PORTS)
        for node in self.nodes:
            for name in ("node.conf", "cometbft/config/config.toml"):
                path = os.path.join(node.home, name)
                with open(path) as f:
                    text = f.read()
                for peer in self.nodes:
                    host = re.escape(peer.url.removeprefix("https://").rpartition(":")[0])
                    if peer is not node:
                        text = re.sub(rf'((?:address = "|url = "https://|@){host}):(\d+)', lambda found, peer=peer: self.instead(node, peer, found, free), text)
                with open(path, "w") as f:
                    f.write(text)

    def instead(self, node, peer, found, free):
        before, port = found[1], int(found[2])
        host = re.search(r"[\d.]+$", before)[0]
        here = (node.name, peer.name, host, port)
        if here not in self.ports:
            self.ports[here] = next(p for p in free if is_free(p))
        return f"{before[: -len(host)]}127.0.0.1:{self.ports[here]}"

    def start(self):
        self.process = subprocess.Popen([self.program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.order(*(f"listen {port} {host} {target} {a} {b}" for (a, b, host, target), port in self.ports.items()), "ready")
        if self.process.stdout.readline() != "ready\n":
            raise Trouble("the relay does not start")

    def order(self, *lines):
        with self.lock:
            self.process.stdin.write("".join(line + "\n" for line in lines))
            self.process.stdin.flush()

    def separate(self, sides):
        """Cuts every pair of nodes on different sides, joins the others."""
        side = {name: i for i, names in enumerate(sides) for name in names}
        names = sorted(node.name for node in self.nodes)
        cuts = {(a, b) for a in names for b in names if a < b and side[a] != side[b]}
        self.order(*(f"join {a} {b}" for a, b in self.cuts - cuts), *(f"cut {a} {b}" for a, b in cuts - self.cuts))
        self.cuts = cuts

    def delay(self, name, low, high):
        self.order(*(f"delay {name} {node.name} {low} {high}" for node in self.nodes if node.name != name))

    def stop(self):
        if self.process is not None:
            self.process.stdin.close()
            self.process.wait(10)


def is_free(port):
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            s.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def relay_program(folder):
    """$KANHE_RELAY, else relay.c compiled into the campaign's folder."""
    named = os.environ.get("KANHE_RELAY")
    if named:
        return named
    built = os.path.join(folder, "relay")
    run(os.environ.get("CC", "cc"), "-std=gnu17", "-O2", "-o", built, os.path.join(ROOT, "tests/chaos/relay.c"))
    return built


class Town:
    """A running cluster under DIR/town; its hubs speak for the customs, whose files go over HTTPS as they are. netns: the kernel cuts;
    else the relay cuts and delays."""

    def __init__(self, folder, banks, hubs, suite, netns):
        self.folder, self.dir, self.netns = folder, os.path.join(folder, "town"), netns
        self.tool = os.path.join(ROOT, "tools/cluster")
        self.apart, self.lock = {}, threading.Lock()
        self.troubled = set()  # names of nodes that may say of themselves that they failed
        run(self.tool, "up", self.dir, "--banks", banks, "--hubs", hubs, "--suite", suite, "--hubs-speak", *(["--netns"] if netns else []))
        env = self.env()
        self.bank_of = {party["node"]: party["id"] for party in env["parties"] if "node" in party}
        self.nodes = [Node(self, i, said) for i, said in enumerate(env["nodes"])]
        self.hubs = [node for node in self.nodes if node.role == "hub"]
        self.banks = [node for node in self.nodes if node.role == "bank"]
        self.faults = (len(self.banks) - 1) // 3  # f
        self.relay = None
        if not netns:
            run(self.tool, "down", self.dir)
            self.relay = Relay(relay_program(folder), self.nodes)
            self.relay.redirect()
            self.relay.start()
            run(self.tool, "up", self.dir)

    def env(self):
        with open(os.path.join(self.dir, "env.json")) as f:
            return json.load(f)

    def kill(self, node):
        run(self.tool, "kill", self.dir, node.name)

    def start(self, node):
        run(self.tool, "start", self.dir, node.name)

    def isolate(self, who, names):
        """`who` holds these nodes apart from all others; (): not any more. Several may, each its own."""
        with self.lock:
            self.apart[who] = tuple(names)
            sides = [list(side) for side in self.apart.values() if side]
            rest = [node.name for node in self.nodes if not any(node.name in side for side in sides)]
            if self.relay is not None:
                self.relay.separate([*sides, rest])
            elif sides:
                run(self.tool, "partition", self.dir, "|".join(",".join(side) for side in [*sides, rest]))
            else:
                run(self.tool, "heal", self.dir)

    def client(self, party, node, timeout=30):
        return Client(self, party, node.url, timeout)

    def height(self, node):
        """The node's ordered height as its kanhed says it; None where it does not answer."""
        client = self.client(node.party, node, timeout=5)
        try:
            status, rows, whole = client.ask("GET", "/v1/audit")
            return rows[0]["height"] if status == 200 and whole and rows else None
        except OSError:
            return None
        finally:
            client.close()

    def down(self):
        try:
            if os.path.isdir(self.dir):
                run(self.tool, "down", self.dir)
        finally:
            if self.relay is not None:
                self.relay.stop()
