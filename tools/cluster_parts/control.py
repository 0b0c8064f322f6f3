"""control: up, down, status, kill, start; which processes are a node's; env.json."""
import contextlib
import fcntl
import http.client
import json
import os
import shutil
import signal
import ssl
import subprocess
import sys
import time

from . import comet, conf, keys, network, register
from .plan import PORTS, ROOT, Cluster, Trouble, build, check_length, choose_addresses, make_tag, taken_port, write_file

FIRST_HUB = 901
START_S, STOP_S = 600, 90


# ---- processes ----

def pids_of(node):
    return node.state().get("pids", {})


def processes(node):
    """{pid} of all that runs for a node: whose words name its home, or that supervise it by name."""
    found, home = set(), node.home.encode()
    programs = {node.cluster.plan["programs"][name].encode() for name in ("kanhed", "cometbft")}
    supervising = [b"supervise", node.cluster.dir.encode(), node.name.encode()]
    for entry in os.listdir("/proc"):
        if not entry.isdigit() or int(entry) == os.getpid():
            continue
        try:
            with open(f"/proc/{entry}/cmdline", "rb") as f:
                words = f.read().split(b"\0")[:-1]
            with open(f"/proc/{entry}/stat") as f:
                zombie = f.read().rpartition(")")[2].split()[0] in "ZX"
        except OSError:
            continue
        ours = words[-3:] == supervising or any(word.startswith(home + b"/") for word in words)
        if ours and not zombie and (words[-3:] == supervising or words[0] in programs):
            found.add(int(entry))
    return found


def kill_all(node):
    """The supervisor first, so that nothing is started again meanwhile; its children die with it."""
    while ours := processes(node):
        first = pids_of(node).get("supervisor")
        for pid in sorted(ours, key=lambda pid: pid != first):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.02)


def launch(node):
    with open(node.path("supervisor.log"), "a") as log:
        subprocess.Popen([*node.enter(), sys.executable, os.path.join(ROOT, "tools/cluster"), "supervise", node.cluster.dir, node.name],
                         stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, cwd="/")


def serves(node):
    state = node.state()
    return state.get("state") in ("serving", "waiting") and state["height"] > 0 and set(state["pids"].values()) <= processes(node)


def follows(node):
    """Does it keep the order, and serve nobody: no member yet, or not with its keys? Anybody may ask /ready."""
    connection = http.client.HTTPSConnection(node.address, PORTS["https"], timeout=2, context=ssl._create_unverified_context())
    try:
        connection.request("GET", "/ready")
        answer = connection.getresponse()
        return answer.status == 503 and b"follows" in answer.read()
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def wait_until_serving(nodes):
    """Every node has its processes and a block; a supervisor that has ended tells its log's end."""
    until = time.monotonic() + START_S
    while True:
        waiting = [node for node in nodes if not serves(node)]
        if not waiting:
            return
        for node in waiting:
            state = node.state()
            if state.get("restarts", 0) >= 3:
                raise Trouble(f"{node.name} does not stay up: {state['why']}; see {node.home}/*.log")
        if time.monotonic() > until:
            raise Trouble(f"not serving after {START_S} s: {', '.join(node.name for node in waiting)}; see {waiting[0].home}/*.log")
        time.sleep(0.05)


# ---- env.json ----

def write_env(cluster):
    by_member = {node.member: node.name for node in cluster.banks}
    hub = cluster.hubs[0]
    env = {"url": hub.url, "ca": "ca.pem", "ca_key": "ca.key", "pid": pids_of(hub).get("kanhed"), "metrics": f"{hub.url}/metrics", "genesis": "genesis.json",
           "nodes": [{"name": node.name, "role": node.role, "url": node.url, "home": os.path.relpath(node.home, cluster.dir),
                      "pids": sorted(pids_of(node).values())} for node in cluster.nodes],
           "parties": []}
    for party in cluster.parties:
        line = {key: party[key] for key in ("id", "name", "role")}
        line.update(cert=f"parties/{party['id']}.pem", key=f"parties/{party['id']}.key")
        if keys.is_signing(cluster, party["id"]):
            line["sign"] = f"parties/{party['id']}.sign"
        if party["id"] in by_member:
            line["node"] = by_member[party["id"]]
        env["parties"].append(line)
    with locked(cluster.dir, ".env.lock"):
        write_file(cluster.path("env.json"), json.dumps(env, indent=1, ensure_ascii=False) + "\n")


@contextlib.contextmanager
def locked(directory, name=".lock"):
    with open(os.path.join(directory, name), "w") as f:
        fcntl.flock(f, fcntl.LOCK_EX)
        yield


# ---- up ----

def make_plan(directory, given, programs):
    from_data = os.path.realpath(given.from_data) if given.from_data else None
    parties = register.parties_of(from_data) if from_data else register.trial_parties(given.banks or 4)
    banks = [party["id"] for party in parties if party["role"] == "bank"]
    if from_data and given.banks not in (None, len(banks)):
        raise Trouble(f"{from_data} has {len(banks)} banks, each with a node; leave --banks out", 2)
    if len(banks) > 48:
        raise Trouble(f"{len(banks)} banks are more than a cluster of this tool can have (48)")
    taken = {party["id"] for party in parties}
    free = (number for number in range(FIRST_HUB, 1 << 31) if number not in taken)
    nodes = [{"name": f"hub{i + 1}", "role": "hub", "member": next(free)} for i in range(given.hubs or 1)]
    nodes += [{"name": f"bank{number}", "role": "bank", "member": number} for number in sorted(banks)]
    check_length(directory, [node["name"] for node in nodes])
    return {"chain_id": f"kanhe-{os.urandom(4).hex()}", "suite": given.suite or "intl", "netns": given.netns, "kvstore": given.kvstore, "hubs_speak": given.hubs_speak,
            "snapshot_blocks": given.snapshot_blocks, "checkpoint_blocks": given.checkpoint_blocks, "tag": make_tag(directory), "addresses": choose_addresses(directory, len(nodes), given.netns), "nodes": nodes, "parties": parties,
            "from": from_data, "programs": programs}


def same_plan(cluster, given):
    """A cluster is what it was made as: another `up` may say the same or nothing."""
    plan = cluster.plan
    for name, was in (("hubs", len(cluster.hubs)), ("banks", len(cluster.banks)), ("suite", plan["suite"]), ("snapshot_blocks", conf.snapshot_blocks(cluster)),
                      ("checkpoint_blocks", conf.checkpoint_blocks(cluster))):
        if getattr(given, name) not in (None, was):
            raise Trouble(f"{cluster.dir} is a cluster with --{name.replace('_', '-')} {was}; take another DIR", 2)
    if given.from_data and os.path.realpath(given.from_data) != plan["from"]:
        raise Trouble(f"{cluster.dir} is a cluster that {'moved up from ' + plan['from'] if plan['from'] else 'did not move up from a directory'}; take another DIR", 2)
    if any(getattr(given, kind) and not plan.get(kind) for kind in ("netns", "kvstore", "hubs_speak")):
        raise Trouble(f"{cluster.dir} is a cluster of another kind; take another DIR", 2)


def furnish(cluster):
    """All that is in DIR before the first start. genesis.json is written last: without it all this is made again."""
    if keys.is_complete(cluster):
        return
    os.makedirs(cluster.path("parties"), mode=0o700, exist_ok=True)
    for node in cluster.nodes:
        shutil.rmtree(node.home, ignore_errors=True)
        os.makedirs(node.path("keys"), mode=0o700)
    beginning = register.make_data(cluster, cluster.plan["from"])
    if cluster.plan["from"]:
        beginning["opening"] = register.make_openings(cluster)
    consensus = comet.homes(cluster)
    keys.certificates(cluster)
    conf.write(cluster)
    comet.genesis(cluster, consensus, beginning)


def up(given):
    directory = os.path.realpath(given.dir)
    os.makedirs(directory, mode=0o700, exist_ok=True)
    programs = build()
    with locked(directory):
        if os.path.exists(os.path.join(directory, "cluster.json")):
            cluster = Cluster.load(directory)
            same_plan(cluster, given)
        else:
            cluster = Cluster(directory, make_plan(directory, given, programs))
        if not any(processes(node) for node in cluster.nodes):
            cluster.plan["programs"] = programs
        cluster.save()
        furnish(cluster)
        if cluster.netns:
            network.make(cluster)
        begin(cluster.nodes)
        write_env(cluster)
    print(f"cluster: {cluster.hubs[0].url}, {len(cluster.hubs)} hubs, {len(cluster.banks)} banks; {cluster.path('env.json')}")
    return 0


def begin(nodes):
    away = [node for node in nodes if not serves(node)]
    for node in away:
        kill_all(node)  # what a killed supervisor may have left
        if not node.namespace and (port := taken_port(node.address)) is not None:
            raise Trouble(f"{node.name}: another program has {node.address}:{port}, where the others and clients look for this node; end it, then try again")
    for node in away:
        with contextlib.suppress(FileNotFoundError):
            os.remove(node.path("status.json"))
        launch(node)
    wait_until_serving(nodes)


# ---- one node, and the end ----

def start(cluster, node):
    with locked(cluster.dir):
        begin([node])
        write_env(cluster)
    print(f"cluster: {node.name} serves, height {node.state()['height']}")
    return 0


def kill(cluster, node):
    with locked(cluster.dir):
        kill_all(node)
        write_file(node.path("status.json"), json.dumps({"state": "killed", "height": node.state().get("height", 0), "pids": {}}) + "\n")
        write_env(cluster)
    print(f"cluster: {node.name} is dead")
    return 0


def take_keys(node, folder):
    """A back-up of a hub's keys as it is; what lacks shows before anything is changed."""
    names = os.listdir(folder) if os.path.isdir(folder) else []
    for name in ("sender.key", "attest.key", "box.key", "comet.key", "comet_node.key", "group.1.key"):
        if name not in names:
            raise Trouble(f"{folder} is no back-up of a hub's keys: it has no {name}", 2)
    fresh = node.home + ".new"
    shutil.rmtree(fresh, ignore_errors=True)
    os.makedirs(fresh, mode=0o700)
    shutil.copytree(folder, os.path.join(fresh, "keys"))
    return fresh


def replace_hub(cluster, node, folder, begin_with=None):
    """A hub whose machine is gone begins anew: from a back-up of its keys and the directory that all hubs began with; blocks and bodies
    come from the others. begin_with: it begins with their state instead. What is left of its home is put aside."""
    if node.role != "hub":
        raise Trouble(f"{node.name} is no hub; a bank's node that lost its disk gets new keys from the officers (docs/OPERATIONS.md)", 2)
    with locked(cluster.dir):
        fresh = take_keys(node, folder or node.path("keys"))
        kill_all(node)
        aside = f"{node.home}.gone-{time.time_ns()}"
        if os.path.exists(node.home):
            os.rename(node.home, aside)
        os.rename(fresh, node.home)
        if begin_with is None:
            register.copy(register.beginning_of(cluster), node.path("data"))
        comet.homes(cluster, node)
        keys.certificates(cluster)
        conf.write(cluster)
        shutil.copy(cluster.path("genesis.json"), os.path.join(node.comet, "config/genesis.json"))
        begin_with(cluster, node) if begin_with else begin([node])
        write_env(cluster)
    print(f"cluster: {node.name} began anew and serves, height {node.state()['height']}" + (f"; what it had: {aside}" if os.path.exists(aside) else ""))
    return 0


def down(cluster):
    with locked(cluster.dir):
        for node in cluster.nodes:
            pid = pids_of(node).get("supervisor")
            if pid in processes(node):
                os.kill(pid, signal.SIGTERM)
        until = time.monotonic() + STOP_S
        while any(processes(node) for node in cluster.nodes) and time.monotonic() < until:
            if not any(pids_of(node).get("supervisor") in processes(node) for node in cluster.nodes):
                break  # what is left has no supervisor
            time.sleep(0.05)
        late = [node.name for node in cluster.nodes if processes(node)]
        for node in cluster.nodes:
            kill_all(node)
            write_file(node.path("status.json"), json.dumps({"state": "stopped", "height": node.state().get("height", 0), "pids": {}}) + "\n")
        if cluster.netns:
            network.remove(cluster)
        write_env(cluster)
    print("cluster: stopped" + (f"; killed: {', '.join(late)}" if late else ""))
    return 0


def status(cluster):
    well = True
    print(f"{'node':10} {'role':5} {'state':10} {'height':>9} {'restarts':>8}  {'url':28} processes")
    for node in cluster.nodes:
        state, alive = node.state(), processes(node)
        good = serves(node)
        following = good and not cluster.kvstore and follows(node)
        well = well and good and not following
        shown = state.get("state", "stopped") if good or not state.get("pids") else ("dead" if not alive else state["state"])
        shown = "follows" if following else shown
        more = f"  cut from {', '.join(sorted(names_of(cluster, network.cuts(node))))}" if cluster.netns and good and network.cuts(node) else ""
        more += f"  see still_follows in {node.path('kanhed.log')}" if following else f"  {state['why']}" if not good and alive and state.get("why") else ""
        print(f"{node.name:10} {node.role:5} {shown:10} {state.get('height', 0):9} {state.get('restarts', 0):8}  {node.url:28} "
              f"{' '.join(map(str, sorted(alive))) or '-'}{more}")
    return 0 if well else 1


def names_of(cluster, addresses):
    return [node.name for node in cluster.nodes if node.address in addresses]
