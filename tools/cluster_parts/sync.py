"""sync: a node that begins with a snapshot of its peers, by CometBFT's state sync: without the blocks before it; a hub takes a state of the
ledger from them, too."""
import http.client
import json
import os
import shutil
import ssl
import time

from . import comet, conf, control, supervise
from .plan import PORTS, Trouble, write_file

SNAPSHOT_S = 5  # until a peer has made the snapshot that it is about to make
STATE_S = 600  # until a hub has a state
TRUST_BACK = 1000  # blocks below the newest, of the one that is trusted: no snapshot that peers keep is far from it

SECTION = """
[statesync]
enable = true
rpc_servers = "{servers}"
trust_height = {height}
trust_hash = "{hash}"
trust_period = "168h0m0s"
discovery_time = "5s"
chunk_request_timeout = "10s"
chunk_fetchers = "2"
"""


def have_snapshots(peers):
    """Do they: that is seen where a snapshot lies, on this machine."""
    return any(name.isalnum() for peer in peers for name in os.listdir(peer.path("data/snapshots")))


def trusted(peers):
    """(height, hash) that all peers which answer tell alike; two at least."""
    heights = {peer: supervise.sync_of(peer)[0] for peer in peers}
    heights = {peer: height for peer, height in heights.items() if height}
    if len(heights) < 2:
        raise Trouble("two other nodes must serve: what is taken of the one is held against the other")
    until = time.monotonic() + SNAPSHOT_S
    while not have_snapshots(heights):
        if time.monotonic() > until:
            raise Trouble(f"no other node has a snapshot yet: each makes one of the first operations behind every {conf.snapshot_blocks(peers[0].cluster)} blocks; `start` without --from-peers takes all blocks")
        time.sleep(0.2)
    initial = min(int((supervise.rpc(peer, "/genesis") or {"genesis": {"initial_height": "1"}})["genesis"]["initial_height"]) for peer in heights)
    newest = min(heights.values())
    height = max(initial, newest - TRUST_BACK)
    hashes = {}
    for peer in heights:
        said = supervise.rpc(peer, f"/commit?height={height}")
        if said:
            hashes[peer] = said["signed_header"]["commit"]["block_id"]["hash"]
    if len(hashes) < 2 or len(set(hashes.values())) != 1:
        raise Trouble(f"the other nodes do not tell one hash of block {height}: {', '.join(f'{peer.name} {hash[:16]}' for peer, hash in hashes.items())}")
    return height, next(iter(hashes.values())), list(hashes)


def signed_so_far(peers):
    """A lost node may have voted in every round that its peers have come to: it must not vote in one of them again."""
    rounds = [(0, 0)]
    for peer in peers:
        said = supervise.rpc(peer, "/consensus_state")
        if said:
            height, round_, _ = said["round_state"]["height/round/step"].split("/")
            rounds.append((int(height), int(round_)))
    height, round_ = max(rounds)
    return {"height": str(height), "round": round_, "step": 3}


def put_aside(node, peers):
    """What goes on from the first block goes aside; what its bank was told, and the register, go on from where they are; of a hub all goes.
    What it has signed stays, or is taken from what its peers have come to."""
    stamp = f"gone-{time.time_ns()}"
    own = [node.path("data", name) for name in ("order", "bodies", "snapshots", "states")] if node.role == "bank" else [node.path("data")]
    for folder in (*own, os.path.join(node.comet, "data")):
        if os.path.exists(folder):
            os.makedirs(node.path(stamp), mode=0o700, exist_ok=True)
            os.rename(folder, node.path(stamp, "comet" if folder.startswith(node.comet) else os.path.basename(folder)))
    os.makedirs(os.path.join(node.comet, "data"), mode=0o700)
    before, signed = node.path(stamp, "comet", "priv_validator_state.json"), os.path.join(node.comet, "data/priv_validator_state.json")
    if os.path.exists(before):
        shutil.copy2(before, signed)
    else:
        write_file(signed, json.dumps(signed_so_far(peers)), 0o600)


def ready(node):
    """A hub has a state, and executes."""
    try:
        connection = http.client.HTTPSConnection(node.address, PORTS["https"], timeout=2, context=ssl._create_unverified_context())
        connection.request("GET", "/ready")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False


def begin(cluster, node):
    """The node's first start, or its first again."""
    peers = [peer for peer in cluster.nodes if peer is not node]
    height, block, servers = trusted(peers)
    control.kill_all(node)
    put_aside(node, servers)
    comet.homes(cluster, node)
    config = os.path.join(node.comet, "config/config.toml")
    with open(config) as f:
        plain = f.read()
    # CometBFT v0.40.0 asks its mempool for what the "nop" one does not have, before it begins state sync. Nothing comes in by another, either.
    write_file(config, plain.replace('type = "nop"', 'type = "flood"') + SECTION.format(servers=",".join(f"http://{peer.at('rpc')}" for peer in servers), height=height, hash=block))
    shutil.copy(cluster.path("genesis.json"), os.path.join(node.comet, "config/genesis.json"))
    control.begin([node])
    write_file(config, plain)  # it goes on from what it has
    until = time.monotonic() + STATE_S
    while node.role == "hub" and not ready(node):
        if time.monotonic() > until:
            raise Trouble(f"{node.name} has no state of its peers after {STATE_S} s; see {node.path('kanhed.log')}")
        time.sleep(0.2)


def start(cluster, node):
    with control.locked(cluster.dir):
        begin(cluster, node)
        control.write_env(cluster)
    print(f"cluster: {node.name} began with its peers' {'state' if node.role == 'hub' else 'snapshot'} and serves, height {node.state()['height']}")
    return 0
