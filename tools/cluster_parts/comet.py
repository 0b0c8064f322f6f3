"""comet: CometBFT's homes and the genesis that all nodes share. The settings: docs/OPERATIONS.md, "A cluster"."""
import base64
import json
import os
import time

from . import keys
from .plan import write_file

BLOCK_SZ = 1 << 20
POWER = 3  # of each validator: kanhed wants this one (docs/ARCHITECTURE.md, "The cluster's design")
PACE = "5ms"  # between blocks: what lacks of the last one's votes and certificates comes meanwhile; idle clusters are paced by kanhed; "0s" on machines of their own

CONFIG = """\
# CometBFT of {name}. Written once; change it and start the node again. Every node of a cluster has the same [p2p] packet size.
proxy_app = "{proxy_app}"
moniker = "{name}"
abci = "socket"
db_backend = "goleveldb"
log_level = "error"
log_format = "plain"

[rpc]
laddr = "tcp://{rpc}"
max_body_bytes = 16777216

[p2p]
laddr = "tcp://{p2p}"
persistent_peers = "{peers}"
persistent_peers_max_dial_period = "2s"
addr_book_strict = false
allow_duplicate_ip = true
pex = false
max_num_inbound_peers = 100
max_num_outbound_peers = 100
flush_throttle_timeout = "1ms"
max_packet_msg_payload_size = 65536
send_rate = 0
recv_rate = 0

[mempool]
type = "{mempool}"

[consensus]
timeout_propose = "500ms"
timeout_propose_delta = "250ms"
timeout_prevote = "100ms"
timeout_prevote_delta = "100ms"
timeout_precommit = "100ms"
timeout_precommit_delta = "100ms"
timeout_commit = "{pace}"
skip_timeout_commit = false
create_empty_blocks = true
create_empty_blocks_interval = "0s"
peer_gossip_sleep_duration = "1ms"
peer_query_maj23_sleep_duration = "250ms"

[storage]
discard_abci_responses = true

[tx_index]
indexer = "null"
"""


def homes(cluster, fresh=None):
    """Keys and configuration of every node, or of one that begins anew. Returns {name: consensus key in hex}."""
    consensus, ids = {}, {}
    for node in cluster.nodes:
        for folder in ("config", "data"):
            os.makedirs(os.path.join(node.comet, folder), mode=0o700, exist_ok=True)
        secret, public, address = keys.comet_key(node.path("keys", "comet.key"))
        consensus[node.name] = public
        if fresh not in (None, node):
            ids[node.name] = keys.comet_key(node.path("keys", "comet_node.key"))[2]
            continue
        validator = {"address": address.upper(), "pub_key": {"type": "tendermint/PubKeyEd25519", "value": base64.b64encode(bytes.fromhex(public)).decode()},
                     "priv_key": {"type": "tendermint/PrivKeyEd25519", "value": secret}}
        write_file(os.path.join(node.comet, "config/priv_validator_key.json"), json.dumps(validator), 0o600)
        secret, _, ids[node.name] = keys.comet_key(node.path("keys", "comet_node.key"))
        write_file(os.path.join(node.comet, "config/node_key.json"), json.dumps({"priv_key": {"type": "tendermint/PrivKeyEd25519", "value": secret}}), 0o600)
        state = os.path.join(node.comet, "data/priv_validator_state.json")
        if not os.path.exists(state):  # what it has signed: never written over
            write_file(state, json.dumps({"height": "0", "round": 0, "step": 0}), 0o600)
    for node in [fresh] if fresh else cluster.nodes:
        peers = ",".join(f"{ids[peer.name]}@{peer.at('p2p')}" for peer in cluster.nodes if peer is not node)
        write_file(os.path.join(node.comet, "config/config.toml"),
                   CONFIG.format(name=node.name, proxy_app="kvstore" if cluster.kvstore else "unix://" + node.abci, rpc=node.at("rpc"), p2p=node.at("p2p"),
                                 peers=peers, mempool="flood" if cluster.kvstore else "nop", pace=PACE))
    return consensus


def members(cluster, consensus):
    """The members' register at the beginning: banks and hubs have keys, others speak through a hub."""
    register = []
    for node in cluster.nodes:
        own = keys.member_keys(node)
        own["consensus"] = consensus[node.name] if node.role == "bank" else ""
        name = next(party for party in cluster.parties if party["id"] == node.member) if node.role == "bank" else {"name": f"Hub {node.member}"}
        flags = (4 if node.role == "bank" else 0) | (2 if name.get("status") == "frozen" else 0)
        register.append({"id": node.member, "role": node.role, "flags": flags, "name": name["name"], "uscc": name.get("uscc") or "", **own})
    for party in cluster.parties:
        if party["role"] in ("regulator", "source"):
            register.append({"id": party["id"], "role": party["role"], "flags": 2 if party.get("status") == "frozen" else 0, "name": party["name"],
                             "uscc": party.get("uscc") or "", "sender": keys.party_key(cluster, party["id"]), "ack": "", "attest": "", "box": "", "consensus": ""})
    return sorted(register, key=lambda member: member["id"])


def genesis(cluster, consensus, beginning):
    """DIR/genesis.json, last of all that `up` makes: once it is there, the cluster is."""
    now = time.time_ns()
    initial = str(beginning["height"] + 1)
    kanhe = {"suite": cluster.suite, "hubs_speak": cluster.plan.get("hubs_speak", False), "chain_id": cluster.plan["chain_id"], "initial_height": initial, "time_ns": str(now),
             "group": keys.group_key(cluster), "checkpoint": beginning["checkpoint"], "officers": {"k": keys.OFFICERS_NEEDED, "keys": keys.officers(cluster)},
             "members": members(cluster, consensus), "public": beginning["public"]}
    if beginning.get("opening"):
        kanhe["opening"] = beginning["opening"]
    validators = []
    for node in cluster.banks:
        with open(os.path.join(node.comet, "config/priv_validator_key.json")) as f:
            key = json.load(f)
        validators.append({"address": key["address"], "pub_key": key["pub_key"], "power": str(POWER), "name": node.name})
    document = {
        "genesis_time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now // 10**9)) + f".{now % 10**9:09d}".rstrip("0") + "Z",
        "chain_id": cluster.plan["chain_id"], "initial_height": initial,
        "consensus_params": {"block": {"max_bytes": str(BLOCK_SZ), "max_gas": "-1"},
                             "evidence": {"max_age_num_blocks": "10000", "max_age_duration": str(600 * 10**9), "max_bytes": "65536"},
                             "validator": {"pub_key_types": ["ed25519"]}, "version": {"app": "1"}, "abci": {"vote_extensions_enable_height": "0"}},
        "validators": validators, "app_hash": "", "app_state": {"kanhe": kanhe}}
    text = json.dumps(document, indent=1, ensure_ascii=False) + "\n"
    for node in cluster.nodes:
        write_file(os.path.join(node.comet, "config/genesis.json"), text)
    write_file(cluster.path("genesis.json"), text)

