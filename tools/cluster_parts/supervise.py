"""supervise: keeps one node's kanhed and CometBFT running: both are started again when either ends, or when the node stands still while
others go on. CometBFT first when stopping: without its application its shutdown hangs now and then, so TERM becomes KILL."""
import contextlib
import ctypes
import http.client
import json
import os
import signal
import socket
import subprocess
import time

from . import control
from .plan import PORTS, write_file

TERM_S = {"cometbft": 5, "kanhed": 60}  # until KILL; kanhed writes an image
# without a new block: while peers are ahead; in block sync, which turns from a peer that promised blocks after 33 s; whatever others do
STUCK_S, STUCK_SYNC_S, STUCK_ALL_S = 15, 45, 120
BACKOFF_S = (0.2, 5)
FULL_SZ = 1 << 20  # bytes that are free on a disk that is full
PR_SET_PDEATHSIG = 1
NICE = 5  # by which CometBFT yields to kanhed, and a bank's node to hubs
libc = ctypes.CDLL(None)


def end_with_parent(parent):
    """A node whose supervisor is killed is dead as a whole."""
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died meanwhile
        os._exit(1)


def yield_to_hubs(node):
    """Nodes that share a machine: a bank's node lets hubs, which execute for all, go first; Linux shares out by session before
    it looks at a process's own nice value (sched(7), autogroup)."""
    try:
        if node.role == "bank":
            with open("/proc/self/autogroup", "w") as file:
                file.write(str(NICE))
    except OSError:  # a kernel without it
        pass


def begin_child(parent, name):
    """Run in the child, before it is the program. CometBFT lets the kanhed of its node go first: fewer blocks, each with more in it."""
    if name == "cometbft":
        os.nice(NICE)
    end_with_parent(parent)


def rpc(node, path):
    """A result of CometBFT's RPC, or None."""
    connection = http.client.HTTPConnection(node.address, PORTS["rpc"], timeout=2)
    try:
        connection.request("GET", path)
        return json.loads(connection.getresponse().read())["result"]
    except (OSError, ValueError, KeyError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def answers(family, address):
    with socket.socket(family) as s:
        s.settimeout(2)
        try:
            s.connect(address)
            return True
        except OSError:
            return False


def sync_of(node):
    """The height of its newest block, None where it does not answer; whether it takes blocks by block sync."""
    sync = (rpc(node, "/status") or {}).get("sync_info")
    return (int(sync["latest_block_height"]), sync["catching_up"]) if sync else (None, False)


def peers_ahead(node, height):
    """Has a peer a higher block?"""
    state = rpc(node, "/dump_consensus_state") or {}
    heights = [int(peer["peer_state"]["round_state"]["height"]) for peer in state.get("peers") or []]
    return any(other > height + 2 for other in heights)


def keep(path, text):
    """write_file; on a full disk over what is there, whose place is there too: a node outlives a full disk."""
    try:
        write_file(path, text)
    except OSError:
        with contextlib.suppress(OSError), open(path, "r+") as file:
            file.write(text)
            file.truncate()


class Supervisor:
    def __init__(self, cluster, node):
        self.cluster, self.node = cluster, node
        self.processes = {}
        self.stopping, self.restarts, self.why = False, 0, ""
        self.state, self.height = "starting", 0

    def say(self, state, height=None):
        """What `status` and env.json show. env.json is renewed where processes are others."""
        before = control.pids_of(self.node)
        self.state = state
        self.height = self.height if height is None else height
        pids = {"supervisor": os.getpid(), **{name: process.pid for name, process in self.processes.items()}}
        keep(self.node.path("status.json"), json.dumps({"state": state, "height": self.height, "pids": pids, "restarts": self.restarts, "why": self.why}) + "\n")
        if before != control.pids_of(self.node):
            with contextlib.suppress(OSError):  # what cannot be written now is when the processes are others again
                control.write_env(self.cluster)

    def spawn(self, name, command):
        parent = os.getpid()
        with open(self.node.path(name + ".log"), "a") as log:
            self.processes[name] = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.node.home,
                                                    preexec_fn=lambda: begin_child(parent, name))

    def ended(self):
        return [name for name, process in self.processes.items() if process.poll() is not None]

    def why_ended(self):
        disk = os.statvfs(self.node.home)
        full = disk.f_bavail * disk.f_frsize < FULL_SZ
        return f"{(self.ended() or ['kanhed'])[0]} ended" + (f": the disk of {self.node.home} is full" if full else "")

    def end(self, name):
        process = self.processes.pop(name, None)
        if process is None:
            return
        process.terminate()
        try:
            process.wait(TERM_S[name])
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def end_all(self):
        for name in ("cometbft", "kanhed"):
            self.end(name)

    def clients_are_heard(self):
        return self.cluster.kvstore or answers(socket.AF_INET, (self.node.address, PORTS["https"]))

    def begin(self):
        """kanhed first: CometBFT would wait three seconds between its tries. False: kanhed ended, or we are to stop."""
        if not self.cluster.kvstore:
            if os.path.exists(self.node.abci):
                os.remove(self.node.abci)
            self.spawn("kanhed", [self.cluster.plan["programs"]["kanhed"], "--config", self.node.path("node.conf")])
            self.say("starting")
            while not answers(socket.AF_UNIX, self.node.abci):
                if self.stopping or self.ended():
                    return False
                time.sleep(0.02)
        self.spawn("cometbft", [self.cluster.plan["programs"]["cometbft"], "start", "--home", self.node.comet])
        self.say("starting")
        return True

    def watch(self):
        """Until something has to be done about it; returns why, "" where we are to stop."""
        moved, height = time.monotonic(), None
        while not self.stopping:
            pause = time.monotonic() + (0.2 if height is None else 1)
            while time.monotonic() < pause and not self.stopping and not self.ended():
                time.sleep(0.05)
            if self.stopping:
                return ""
            if self.ended():
                return self.why_ended()
            now, syncing = sync_of(self.node)
            if now is not None and now != height and (height is not None or self.clients_are_heard()):
                moved, height = time.monotonic(), now
                self.say("serving", height)
                continue
            still = time.monotonic() - moved
            if still > STUCK_ALL_S or (still > (STUCK_SYNC_S if syncing else STUCK_S) and (now is None or peers_ahead(self.node, now))):
                return f"no block for {int(still)} s"
            if still > 5:
                self.say("waiting")
        return ""

    def loop(self):
        backoff = BACKOFF_S[0]
        while not self.stopping:
            began = time.monotonic()
            self.why = self.watch() if self.begin() else self.why_ended()
            self.end_all()
            if self.stopping:
                break
            self.restarts += 1
            backoff = BACKOFF_S[0] if time.monotonic() - began > 10 else min(2 * backoff, BACKOFF_S[1])
            self.say("restarting")
            until = time.monotonic() + backoff
            while time.monotonic() < until and not self.stopping:
                time.sleep(0.05)
        self.say("stopped")


def run(cluster, node):
    supervisor = Supervisor(cluster, node)

    def stop(_number, _frame):
        supervisor.stopping = True
    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    yield_to_hubs(node)
    supervisor.loop()
    return 0
