"""conf: kanhed's configuration of each node. conf/node.conf explains every key."""
import os

from .plan import write_file

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


def write(cluster):
    for node in cluster.nodes:
        if os.path.exists(node.path("node.conf")):
            continue
        peers = ",\n".join(f'            {{ member = {peer.member}; address = "{peer.at("links")}"; }}' for peer in cluster.nodes if peer is not node)
        write_file(node.path("node.conf"), CONFIG.format(
            name=node.name, role=node.role, member=node.member, https=node.at("https"), rpc=node.at("rpc"), links=node.at("links"), peers=peers,
            datagrams=f'datagrams = {{ listen = "{node.at("datagrams")}"; }};\n' if node.role == "hub" else "",
            hubs=", ".join(f'{{ member = {hub.member}; url = "{hub.url}"; }}' for hub in cluster.hubs if node.role == "bank")))
