"""plan: what a cluster consists of and where each thing lies: DIR/cluster.json, and paths derived from it. What stands there stays: nodes are
added behind, and one that left is marked."""
import hashlib
import json
import os
import socket
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
PORTS = {"https": 8443, "datagrams": 8444, "links": 26650, "p2p": 26656, "rpc": 26657}
SOCKET_PATH_MAX = 107  # a Unix socket's path, unix(7)


class Trouble(Exception):
    """Something that the user has to know; the message is the whole story."""

    def __init__(self, message, status=3):
        super().__init__(message)
        self.status = status


PROGRAMS = {"kanhe": ("KANHE_BIN", "build/release/tools/kanhe/kanhe"), "kanhed": ("KANHED_BIN", "build/release/engine/app/kanhed"),
            "kanhe-key": ("KANHE_KEY_BIN", "build/release/tools/kanhe-key"), "kanhe-leaf": ("KANHE_LEAF_BIN", "build/release/tools/kanhe-leaf"),
            "kanhe-opening": ("KANHE_OPENING_BIN", "build/release/tools/kanhe-opening"),
            "cometbft": ("KANHE_COMETBFT", "build/cometbft/cometbft")}


def program(name):
    """A program of build/, or the one that the environment names."""
    variable, path = PROGRAMS[name]
    found = os.environ.get(variable) or os.path.join(ROOT, path)
    if not os.access(found, os.X_OK):
        raise Trouble(f"{found} is not there (${variable} names another)")
    return found


def is_missing(name):
    variable, path = PROGRAMS[name]
    return not os.environ.get(variable) and not os.access(os.path.join(ROOT, path), os.X_OK)


def build():
    """Builds build/release where a program is missing and none is named by the environment, as tools/hub does; then CometBFT.
    Returns where each program is."""
    if any(is_missing(name) for name in PROGRAMS if name != "cometbft"):
        release, log = os.path.join(ROOT, "build/release"), os.path.join(ROOT, "build/cluster.log")
        run([os.path.join(ROOT, "tools/install"), "build"], quiet=False)
        again = ["--reconfigure"] if os.path.isdir(release) else []
        setup = ["meson", "setup", *again, release, ROOT, "--buildtype=release", "-Dtests=false", "-Dbench=false"]
        print("cluster: building build/release", file=sys.stderr)
        with open(log, "w") as out:
            for command in (setup, ["ninja", "-C", release]):
                if subprocess.run(command, stdout=out, stderr=subprocess.STDOUT).returncode != 0:
                    raise Trouble(f"the build failed: see {log}")
    if not os.environ.get("KANHE_COMETBFT"):
        run([os.path.join(ROOT, "tools/install"), "cluster"], quiet=False)
    return {name: program(name) for name in PROGRAMS}


def run(command, quiet=True, **more):
    """Runs a command to its end; its output, or a Trouble with its last words."""
    done = subprocess.run([str(word) for word in command], stdout=subprocess.PIPE, stderr=subprocess.PIPE if quiet else None, text=True, **more)
    if done.returncode != 0:
        words = ((done.stderr or "") + done.stdout).strip().splitlines()[-3:]
        raise Trouble(f"{' '.join(map(str, command))}: {'; '.join(words) or done.returncode}")
    return done.stdout


def write_file(path, text, mode=0o644):
    """Whole or not at all, whenever somebody else reads it."""
    fd = os.open(path + ".new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(fd, "w") as f:
        f.write(text)
    os.rename(path + ".new", path)


def read_json(path, otherwise=None):
    try:
        with open(path) as f:
            return json.load(f)
    except (FileNotFoundError, ValueError):
        return otherwise


class Node:
    """One node: a hub, or a bank's; `member` is its number in the cluster."""

    def __init__(self, cluster, number, name, role, member):
        self.cluster, self.number, self.name, self.role, self.member = cluster, number, name, role, member
        self.home = cluster.path("nodes", name)
        self.comet = self.path("cometbft")
        self.abci = self.path("abci.sock")
        self.address = cluster.addresses[number]
        self.url = f"https://{self.at('https')}"
        self.namespace = f"{cluster.tag}-{number}" if cluster.netns else None

    def path(self, *words):
        return os.path.join(self.home, *words)

    def at(self, what):
        return f"{self.address}:{PORTS[what]}"

    def enter(self):
        """The words before a command that runs where the node's network is."""
        return ["ip", "netns", "exec", self.namespace] if self.namespace else []

    def state(self):
        """What its supervisor said last."""
        return read_json(self.path("status.json"), {})


class Cluster:
    """plan: {"chain_id", "suite", "netns", "kvstore", "hubs_speak", "tag", "addresses", "nodes": [{"name", "role", "member"[, "gone"]}], "parties",
    "from"}; "programs": where they were at the last `up`."""

    def __init__(self, directory, plan):
        self.dir, self.plan = directory, plan
        self.suite, self.netns, self.kvstore, self.addresses = plan["suite"], plan["netns"], plan["kvstore"], plan["addresses"]
        self.tag = plan["tag"]
        self.nodes = [Node(self, i, n["name"], n["role"], n["member"]) for i, n in enumerate(plan["nodes"]) if not n.get("gone")]
        self.hubs = [node for node in self.nodes if node.role == "hub"]
        self.banks = [node for node in self.nodes if node.role == "bank"]
        self.parties = plan["parties"]

    def path(self, *words):
        return os.path.join(self.dir, *words)

    def node(self, name):
        for node in self.nodes:
            if node.name == name:
                return node
        raise Trouble(f"there is no node {name!r}: {', '.join(node.name for node in self.nodes)}", 2)

    def save(self):
        write_file(self.path("cluster.json"), json.dumps(self.plan, indent=1, ensure_ascii=False) + "\n")

    @staticmethod
    def load(directory):
        directory = os.path.realpath(directory)
        plan = read_json(os.path.join(directory, "cluster.json"))
        if plan is None:
            raise Trouble(f"{directory} has no cluster: tools/cluster up {directory}")
        return Cluster(directory, plan)


def check_length(directory, names):
    longest = max(len(os.path.join(directory, "nodes", name, "abci.sock")) for name in names)
    if longest > SOCKET_PATH_MAX:
        raise Trouble(f"{directory} is {longest - SOCKET_PATH_MAX} characters too long for the sockets under it")


def taken_port(address):
    """A node's port there that another program has; None: all are free."""
    for port in PORTS.values():
        with socket.socket() as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                s.bind((address, port))
            except OSError:
                return port
    return None


def choose_addresses(directory, count, netns):
    """A block of addresses that goes with DIR, so that two clusters do not meet: 127.X.Y.2 and on; 10.X.Y.2 and on in namespaces."""
    digest = hashlib.sha256(directory.encode()).digest()
    for shift in range(64):
        x, y = 1 + (digest[0] + shift) % 250, digest[1]
        addresses = [f"{'10' if netns else '127'}.{x}.{y}.{2 + i}" for i in range(count)]
        if netns or all(taken_port(address) is None for address in addresses):
            return addresses
    raise Trouble("no free addresses were found in 127.0.0.0/8")


def next_address(cluster):
    """Behind those that were chosen; an address is not used twice."""
    first, _, last = cluster.addresses[-1].rpartition(".")
    for number in range(int(last) + 1, 255):
        address = f"{first}.{number}"
        if cluster.netns or taken_port(address) is None:
            return address
    raise Trouble(f"{cluster.addresses[0]} and on: no address is left")


def make_tag(directory):
    return "kh" + hashlib.sha256(directory.encode()).hexdigest()[:6]
