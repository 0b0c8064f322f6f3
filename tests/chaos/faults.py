"""faults: what a campaign does to its nodes. A hand holds one fault at a time: as many hands for banks' nodes as the cluster bears faulty
nodes (f), one for the hubs, one for the network's pace; what a hand did is over when the node serves again at the others' height."""
import os
import random
import shutil
import signal
import struct
import threading
import time

from town import Trouble, run

WELL_S = 240  # a node that is not back by then does not come back
BODY_HEAD_SZ, STATE_HEAD_SZ = 88, 40


def send(pid, number):
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass


# ---- each fault: begins, is held for a while, ends. `note` becomes a word of the event's line. ----

class Killed:
    """SIGKILL to one process; its supervisor starts it again."""
    hold = (0, 0)

    def __init__(self, process):
        self.process = process

    def begin(self, town, node, rnd):
        pid = node.pids().get(self.process)
        if pid is None:
            return f"{self.process} was not there"
        send(pid, signal.SIGKILL)
        return f"{self.process} killed"

    def end(self, town, node, rnd):
        return ""


class Dead:
    """Every process of the node killed: a power cut that loses nothing written; it is started again later."""
    hold = (0.2, 12)

    def begin(self, town, node, rnd):
        town.kill(node)
        return "dead"

    def end(self, town, node, rnd):
        note = self.spoil(node, rnd)
        town.start(node)
        return note

    def spoil(self, node, rnd):
        return ""


class TornOrder(Dead):
    """Dead, and of what it kept of the order each byte is lost that was not synced: behind what DIR/order/state goes with."""

    def spoil(self, node, rnd):
        order, lost = os.path.join(node.data, "order"), []
        try:
            with open(os.path.join(order, "state"), "rb") as f:
                head = f.read(STATE_HEAD_SZ)
        except FileNotFoundError:
            return "the order was not saved yet"
        whole = dict(zip(("blocks", "members"), struct.unpack_from("<QQ", head, 16)))
        for name, synced in whole.items():
            path = os.path.join(order, name)
            size = os.path.getsize(path)
            if size > synced:
                keep = rnd.randrange(synced, size)
                os.truncate(path, keep)
                lost.append(f"{size - keep} bytes of order/{name}")
        return ", ".join(lost) + " lost" if lost else "all of order/ was synced"


def newest_bodies(node):
    folder = os.path.join(node.data, "bodies")
    files = sorted(name for name in os.listdir(folder) if name.endswith(".bodies") and os.path.getsize(os.path.join(folder, name)) > 0)
    return os.path.join(folder, files[-1]) if files else None


def last_record(path):
    """Where the last record of a bodies' file begins."""
    at = last = 0
    with open(path, "rb") as f:
        data = f.read()
    while data[at:at + 4] == b"KHB1":
        last, at = at, at + (BODY_HEAD_SZ + struct.unpack_from("<I", data, at + 4)[0] + 7) // 8 * 8
    return last, min(at, len(data))


class TornBody(Dead):
    """Dead, and its newest body torn: one that it had acknowledged may be lost, as with a disk that lies about what is durable."""

    def spoil(self, node, rnd):
        path = newest_bodies(node)
        if path is None:
            return "no body was stored yet"
        begin, end = last_record(path)
        keep = rnd.randrange(begin + 1, end)
        os.truncate(path, keep)
        return f"{os.path.basename(path)} torn at {keep}, {end - keep} bytes before its last record's end"


class LostBodies(Dead):
    """Dead, and all its bodies gone: it comes back as a node that lost its store."""

    def spoil(self, node, rnd):
        folder = os.path.join(node.data, "bodies")
        count = len(os.listdir(folder))
        shutil.rmtree(folder)
        return f"bodies/ removed, {count} files"


class Full(Dead):
    """Its directory stands on a disk of its own (tmpfs; root) that is full for a while; then there is room again, and it goes on by itself. Then
    it moves back."""
    hold = (3, 12)
    room = 4 << 20
    mounted = set()

    def begin(self, town, node, rnd):
        town.troubled.add(node.name)
        town.kill(node)
        self.move(node.data, node.data + ".disk", node.data)
        town.start(node)
        try:
            with open(os.path.join(node.data, "ballast"), "wb", buffering=0) as f:
                while f.write(bytes(4096)):
                    pass
        except OSError:
            return "its disk is full"
        raise Trouble("a tmpfs that does not fill up")

    def end(self, town, node, rnd):
        os.remove(os.path.join(node.data, "ballast"))
        return "there is room again"

    def after(self, town, node):
        town.kill(node)
        self.restore(node.data)
        town.start(node)

    @classmethod
    def move(cls, data, aside, small):
        used = sum(os.path.getsize(os.path.join(folder, name)) + 4096 for folder, _, names in os.walk(data) for name in names)
        os.rename(data, aside)
        os.mkdir(small, 0o700)
        cls.mounted.add(data)
        run("mount", "-t", "tmpfs", "-o", f"size={used + cls.room}", "tmpfs", small)
        run("cp", "-a", aside + "/.", small)

    @classmethod
    def restore(cls, data):
        os.mkdir(data + ".back", 0o700)
        run("cp", "-a", data + "/.", data + ".back")
        run("umount", "-l", data)
        os.rmdir(data)
        os.rename(data + ".back", data)
        shutil.rmtree(data + ".disk")
        cls.mounted.discard(data)

    @classmethod
    def restore_all(cls):
        for data in list(cls.mounted):
            cls.restore(data)


class Paused:
    """SIGSTOP; SIGCONT later. Of a whole node its supervisor too, else that would start what stands still again."""
    hold = (0.2, 20)

    def __init__(self, *processes):
        self.processes, self.stopped = processes, {}

    def begin(self, town, node, rnd):
        pids = node.pids()
        self.stopped[node.name] = stopped = [pids[name] for name in self.processes if name in pids]
        for pid in stopped:
            send(pid, signal.SIGSTOP)
        return "paused: " + ", ".join(self.processes)

    def end(self, town, node, rnd):
        for pid in reversed(self.stopped.pop(node.name, [])):
            send(pid, signal.SIGCONT)
        return ""


class Cut:
    """The node reaches nobody and nobody reaches it; its own bank does."""
    hold = (0.5, 20)

    def begin(self, town, node, rnd):
        town.isolate(threading.current_thread().name, [node.name])
        return "cut off"

    def end(self, town, node, rnd):
        town.isolate(threading.current_thread().name, ())
        return ""


class Slow:
    """What a node sends and gets comes late, each connection's bytes in order. No fault: agreement may be late, not wrong."""
    hold = (2, 20)

    def begin(self, town, node, rnd):
        low = rnd.choice((1, 5, 20, 80))
        high = low + rnd.choice((0, 10, 100, 300))
        town.relay.delay(node.name, low, high)
        return f"slow: {low} to {high} ms"

    def end(self, town, node, rnd):
        town.relay.delay(node.name, 0, 0)
        return ""


CLEAN = (("kill kanhed", 3, Killed("kanhed")), ("kill cometbft", 3, Killed("cometbft")), ("kill node", 3, Dead()), ("torn order", 2, TornOrder()),
         ("pause node", 2, Paused("supervisor", "kanhed", "cometbft")), ("pause kanhed", 2, Paused("kanhed")), ("pause cometbft", 1, Paused("cometbft")),
         ("cut off", 4, Cut()))
LOSING = (("torn body", 2, TornBody()), ("lost bodies", 2, LostBodies()))
FULL, SLOW = ("full disk", 1, Full()), ("slow links", 1, Slow())


class Hand(threading.Thread):
    """Takes a victim, does something to it, waits until it is well. What it does it draws from a deck: each kind once, in a random order, then
    decks with each as often as it weighs. unlucky: the only nodes whose bodies get lost; f of them, so that never more than f have lost
    what they acknowledged."""

    def __init__(self, campaign, name, nodes, kinds, rest, unlucky=()):
        super().__init__(name=name, daemon=True)
        self.campaign, self.town, self.nodes, self.kinds, self.rest, self.unlucky = campaign, campaign.town, nodes, kinds, rest, unlucky
        self.rnd, self.ending, self.counts, self.slowest = random.Random(f"{campaign.seed} {name}"), threading.Event(), {}, 0
        self.deck, self.decks = [], 0

    def draw(self):
        if not self.deck:
            self.deck = [kind for kind in self.kinds for _ in range(kind[1] if self.decks else 1)]
            self.rnd.shuffle(self.deck)
            self.decks += 1
        return self.deck.pop()

    def run(self):
        try:
            while not self.ending.wait(self.rnd.uniform(*self.rest)):
                self.one()
        except Exception as trouble:
            self.campaign.failed(f"{self.name}: {type(trouble).__name__}: {trouble}")

    def one(self):
        kind = self.draw()
        name, _, fault = kind
        node = self.campaign.take(self.rnd, [node for node in self.nodes if kind not in LOSING or node.name in self.unlucky])
        if node is None:
            self.deck.insert(0, kind)
            return
        try:
            self.counts[name] = self.counts.get(name, 0) + 1
            seconds = self.rnd.uniform(*fault.hold)
            try:
                self.say(node, fault.begin(self.town, node, self.rnd))
                self.ending.wait(seconds)
            finally:
                note = fault.end(self.town, node, self.rnd)
            if note:
                self.say(node, note)
            if kind is not SLOW:
                self.wait_until_well(node)
            if kind is FULL:
                fault.after(self.town, node)
                self.wait_until_well(node)
        finally:
            self.campaign.release(node)

    def wait_until_well(self, node):
        """It answers, and has the height that the highest had when it could begin to catch up."""
        began, target = time.monotonic(), None
        while time.monotonic() - began < WELL_S:
            if target is None:
                heights = [height for height in (self.town.height(other) for other in self.town.nodes if other is not node) if height is not None]
                target = max(heights) if heights else None
            height = self.town.height(node)
            if target is not None and height is not None and height >= target:
                took = time.monotonic() - began
                self.slowest = max(self.slowest, took)
                self.say(node, f"well again after {took:.1f} s, height {height}")
                return
            time.sleep(0.3)
        raise Trouble(f"{node.name} is not back at height {target} after {WELL_S} s")

    def say(self, node, text):
        self.campaign.say(f"{node.name}: {text}")


def hands(campaign):
    """The hands of a campaign, whose bodies get lost, and what is left out."""
    town, left_out = campaign.town, []
    kinds = [*CLEAN, *LOSING]
    if os.geteuid() == 0:
        kinds.append(FULL)
    else:
        left_out.append("full disk (needs root)")
    unlucky = [node.name for node in campaign.rnd.sample(town.banks, town.faults)]
    made = [Hand(campaign, f"hand {i + 1}", town.banks, kinds, (0.5, 5), unlucky) for i in range(town.faults)]
    made.append(Hand(campaign, "hub hand", town.hubs, CLEAN, (10, 30)))
    if town.relay is not None:
        made.append(Hand(campaign, "slow hand", town.nodes, [SLOW], (1, 10)))
    else:
        left_out.append("slow links (the relay cannot stand between network namespaces)")
    return made, unlucky, left_out
