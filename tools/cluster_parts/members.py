"""members: a bank or a hub joins a running cluster, or leaves it for good: what its operator, the officers and the other operators do, in their
order (docs/OPERATIONS.md, "Members that come and go")."""
import contextlib
import os
import shutil
import signal
import time

from . import change, comet, conf, control, keys, network, register, sync
from .plan import Cluster, Trouble, check_length, next_address

CATCH_UP_S, STOP_S = 600, 90


# ---- what is there ----

def at_work(cluster, but=None):
    """A node that takes changes."""
    for node in [*cluster.banks, *cluster.hubs]:
        if node is not but and control.serves(node) and change.show(cluster, node):
            return node
    raise Trouble(f"no node of {cluster.dir} serves: tools/cluster start it first")


def member_of(said, number):
    return next((member for member in said["members"] if member["id"] == number), None)


def wait_for(what, condition, seconds=CATCH_UP_S):
    until = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > until:
            raise Trouble(f"{what}: not after {seconds} s")
        time.sleep(0.2)


def caught_up(cluster, node, others):
    """It is itself, and its newest block and newest attested state are as new as another's."""
    def condition():
        there, here = change.show(cluster, others), change.show(cluster, node)
        return bool(there and here and member_of(here, node.member) and here["height"] + 3 >= there["height"] and here["attested_height"] >= there["attested_height"])
    return condition


# ---- the other operators' part ----

def stop(node):
    pid = control.pids_of(node).get("supervisor")
    if pid in control.processes(node):
        os.kill(pid, signal.SIGTERM)
        with contextlib.suppress(Trouble):
            wait_for(node.name, lambda: not control.processes(node), STOP_S)
    control.kill_all(node)


def tell_others(cluster, but=None):
    """Each node's configuration names those that there are now: kanhed reads it again at SIGHUP, and goes on. CometBFT's is left as it
    is: the new one dials the others. A node that does not run finds it when it is started."""
    for node in cluster.nodes:
        if node is but or not conf.renew(cluster, node):
            continue
        pid = control.pids_of(node).get("kanhed")
        if pid in control.processes(node):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGHUP)


# ---- the hubs' key ----

def next_epoch(cluster, serving):
    """Another key of all hubs there are now; it lies at each before the officers order it. A hub that left does not get it."""
    epoch = change.show(cluster, serving)["epoch"] + 1
    files = [hub.path("keys", f"group.{epoch}.key") for hub in cluster.hubs]
    for file in files:
        with contextlib.suppress(FileNotFoundError):
            os.remove(file)  # of an attempt that failed
    public = keys.make(cluster.suite, "box", files[0])[0]
    for file in files[1:]:
        shutil.copy2(files[0], file + ".new")
        os.rename(file + ".new", file)
    change.order(cluster, serving, "epoch", "--group", public)


# ---- add ----

def make_member(cluster, role, name):
    """The plan with one node more, and a bank's party."""
    taken = {party["id"] for party in cluster.parties} | {node["member"] for node in cluster.plan["nodes"]}
    of_role = [node["member"] for node in cluster.plan["nodes"] if node["role"] == role]
    number = next(i for i in range(max(of_role) + 1, 1 << 31) if i not in taken)
    label = f"bank{number}" if role == "bank" else f"hub{len(of_role) + 1}"
    check_length(cluster.dir, [label])
    plan = dict(cluster.plan, nodes=[*cluster.plan["nodes"], {"name": label, "role": role, "member": number}],
                addresses=[*cluster.addresses, next_address(cluster)])
    party = {"id": number, "role": role, "name": name or (f"Bank {number}" if role == "bank" else f"Hub {number}"), "uscc": None}
    if role == "bank":
        plan["parties"] = [*cluster.parties, party]
    return Cluster(cluster.dir, plan), party


def furnish(cluster, node, from_peers):
    """All that the new node begins with: the same genesis, an empty log; a hub the directory that all hubs began with, where it does not take
    their state, and every key of theirs."""
    for name in os.listdir(node.home) if os.path.isdir(node.home) else []:
        if name != "keys":  # of an attempt that failed: the officers may have ordered them
            shutil.rmtree(node.path(name)) if os.path.isdir(node.path(name)) else os.remove(node.path(name))
    os.makedirs(node.path("keys"), mode=0o700, exist_ok=True)
    if node.role == "hub":
        other = next(hub for hub in cluster.hubs if hub is not node)
        for name in os.listdir(other.path("keys")):
            if name.startswith("group.") and name.endswith(".key"):
                shutil.copy2(other.path("keys", name), node.path("keys", name))
        if not from_peers:
            register.copy(register.beginning_of(cluster), node.path("data"))
    own = keys.member_keys(node)
    consensus = comet.homes(cluster, node)
    own["consensus"] = consensus[node.name] if node.role == "bank" else ""
    keys.certificates(cluster)
    conf.write(cluster)
    shutil.copy(cluster.path("genesis.json"), os.path.join(node.comet, "config/genesis.json"))
    return own


def add(cluster, role, name, from_peers):
    with control.locked(cluster.dir):
        serving = at_work(cluster).name
        cluster, party = make_member(cluster, role, name)
        serving, node = cluster.node(serving), cluster.nodes[-1]
        own = furnish(cluster, node, from_peers)
        if cluster.netns:
            network.make(cluster)
        change.order(cluster, serving, "member", *change.record(node, party, own))
        cluster.save()
        control.write_env(cluster)
        tell_others(cluster, node)
        sync.begin(cluster, node) if from_peers else control.begin([node])
        control.write_env(cluster)
        wait_for(f"{node.name} catches up", caught_up(cluster, node, serving))
        if role == "bank":
            change.order(cluster, serving, "validator", "--member", node.member, "--power", 1)
        else:
            next_epoch(cluster, serving)
        control.write_env(cluster)
    print(f"cluster: {node.name} is member {node.member} and {'votes' if role == 'bank' else 'attests'}; it serves at {node.url}")
    return 0


# ---- remove ----

def remove(cluster, node):
    """A member is expelled: for good. It does not vote, order, open or attest any more; what it holds stays held until it lapses."""
    if len(cluster.hubs if node.role == "hub" else cluster.banks) == 1:
        raise Trouble(f"{node.name} is the only {node.role}", 2)
    with control.locked(cluster.dir):
        serving = at_work(cluster, node)
        known = member_of(change.show(cluster, serving), node.member)
        if known["validator"]:
            change.order(cluster, serving, "validator", "--member", node.member, "--power", 0)
        own = keys.member_keys(node)
        own["consensus"] = keys.comet_key(node.path("keys", "comet.key"))[1] if node.role == "bank" else ""
        party = next((party for party in cluster.parties if party["id"] == node.member), known)
        change.order(cluster, serving, "member", *change.record(node, party, own, "expelled"))
        stop(node)
        if cluster.netns:
            network.take_away(node)
        for entry in cluster.plan["nodes"]:
            if entry["name"] == node.name:
                entry["gone"] = True
        cluster.save()
        cluster = Cluster(cluster.dir, cluster.plan)
        serving = cluster.node(serving.name)
        if node.role == "hub":
            next_epoch(cluster, serving)
        control.write_env(cluster)
        tell_others(cluster)
        control.write_env(cluster)
    print(f"cluster: {node.name} is expelled and stopped; its home stays: {node.home}")
    return 0
