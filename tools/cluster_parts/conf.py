"""conf: kanhed's configuration of each node. conf/node.conf explains every key."""
import os
import re

from .plan import write_file

# Between two snapshots of the order, and two checkpoints of the hubs' state; trial clusters are young.
SNAPSHOT_BLOCKS, CHECKPOINT_BLOCKS = 100, 1000

CONFIG = """\
# {name}, a {role}'s node of a trial cluster. conf/node.conf explains every key; relative paths begin at this file's folder.
data = "data";
listen = "{https}";
ca = "ca.pem";
certificate = "https.pem";
key = "https.key";
{datagrams}limits = {{
    probe_limit = "10000/100"; # 10,000 at once, then 100 a second: NOT_FOUND and mismatches of a party
}};
max_connections = 8192;
max_connections_per_address = 64;
cluster = {{
    member = {member};
    genesis = "cometbft/config/genesis.json";
    keys = "keys";
    abci = "abci.sock";
    cometbft_rpc = "http://{rpc}";
    snapshot_blocks = {snapshot_blocks};
    checkpoint_blocks = {checkpoint_blocks};
    links = {{
        listen = "{links}";
        ca = "links.pem";
        certificate = "link.pem";
        key = "link.key";
        peers = (
{peers}
        );
    }};
    hubs = ( {hubs} );
}};
"""


def number(member):
    """As kanhed's configuration takes it: an id of 32 bits, whole."""
    return f"{member}L" if member > 0x7FFFFFFF else str(member)


def peers_of(cluster, node):
    return ",\n".join(f'            {{ member = {number(peer.member)}; address = "{peer.at("links")}"; }}' for peer in cluster.nodes if peer is not node)


def hubs_of(cluster, node):
    return ", ".join(f'{{ member = {number(hub.member)}; url = "{hub.url}"; }}' for hub in cluster.hubs if node.role == "bank")


def snapshot_blocks(cluster):
    return cluster.plan.get("snapshot_blocks") or SNAPSHOT_BLOCKS


def checkpoint_blocks(cluster):
    return cluster.plan.get("checkpoint_blocks") or CHECKPOINT_BLOCKS


def write(cluster):
    for node in cluster.nodes:
        if os.path.exists(node.path("node.conf")):
            continue
        write_file(node.path("node.conf"), CONFIG.format(
            name=node.name, role=node.role, member=number(node.member), https=node.at("https"), rpc=node.at("rpc"), links=node.at("links"), peers=peers_of(cluster, node),
            datagrams=f'datagrams = {{ listen = "{node.at("datagrams")}"; }};\n' if node.role == "hub" else "",
            hubs=hubs_of(cluster, node), snapshot_blocks=snapshot_blocks(cluster),
            checkpoint_blocks=checkpoint_blocks(cluster)))


def renew(cluster, node):
    """The peers and hubs that there are now; the rest of the file stays as it is. Did it say others?"""
    with open(node.path("node.conf")) as f:
        text = f.read()
    new = re.sub(r"peers = \(.*?\n        \);", lambda _: f"peers = (\n{peers_of(cluster, node)}\n        );", text, flags=re.S)
    new = re.sub(r"hubs = \(.*?\);", lambda _: f"hubs = ( {hubs_of(cluster, node)} );", new, flags=re.S)
    write_file(node.path("node.conf"), new)
    return new != text
