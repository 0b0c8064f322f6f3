"""register: who is in the cluster, and the data directories that its nodes begin with; all by the embedded `kanhe` command."""
import fcntl
import json
import os
import shutil
import subprocess
import sys

from . import keys
from .plan import Trouble, program, run

TOO_MUCH = 4  # kanhe-opening's exit status
PUBLIC_ROLES = ("regulator", "bank", "source")  # what every node knows (docs/CLUSTER.md, members' register)


def ask(data, *words):
    """A command's lines as objects."""
    return [json.loads(line) for line in run([program("kanhe"), "--data", data, "--json", *words]).splitlines()]


def trial_parties(banks):
    names = [chr(ord("A") + i) if i < 26 else str(i + 1) for i in range(banks)]
    parties = [{"id": 1, "role": "regulator", "name": "FX regulator", "uscc": None}]
    parties += [{"id": 11 + i, "role": "bank", "name": f"Bank {name}", "uscc": None} for i, name in enumerate(names)]
    parties += [{"id": 101, "role": "enterprise", "name": "Exporter One", "uscc": "91350211M000100Y46"},
                {"id": 102, "role": "enterprise", "name": "Exporter Two", "uscc": "91310115MA1K35FF5J"},
                {"id": 103, "role": "enterprise", "name": "Exporter Three", "uscc": "91440300MA5DA1KF5H"},
                {"id": 201, "role": "source", "name": "Customs", "uscc": None}]
    return parties


def parties_of(data):
    """The parties of a directory that nobody has open."""
    if not os.path.isdir(data):
        raise Trouble(f"{data} is no data directory")
    parties = ask(data, "party", "list")
    if not any(party["role"] == "bank" for party in parties):
        raise Trouble(f"{data} has no bank: nobody could keep a node")
    if not any(party["role"] == "regulator" for party in parties):
        raise Trouble(f"{data} has no regulator")
    return parties


def add(data, party):
    uscc = ["--uscc", party["uscc"]] if party.get("uscc") else []
    run([program("kanhe"), "--data", data, "party", "add", "--id", party["id"], "--role", party["role"], "--name", party["name"], *uscc])
    if party.get("status") == "frozen":
        run([program("kanhe"), "--data", data, "party", "freeze", party["id"]])


def must_be_stopped(data):
    with open(os.path.join(data, "lock")) as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Trouble(f"{data} is being written by process {lock.readline().strip()}: stop it first") from None


def copy(source, target):
    subprocess.run(["cp", "-a", "--reflink=auto", source, target], check=True)


def copy_rules(rules, rates, data):
    for rule in rules:
        run([program("kanhe"), "--data", data, "rule", "set", rule["rule"], rule["value"]])
    for rate in rates:
        run([program("kanhe"), "--data", data, "rate", "set", rate["from"], rate["to"], rate["rate"], "--date", rate["date"], "--source", rate["source"]])


def beginning_of(cluster):
    """The directory that hubs begin with, whose digest is the genesis' checkpoint: kept for a hub that has to begin anew."""
    return cluster.path("beginning")


def make_data(cluster, from_data):
    """A hub's directory is a copy of the one that the cluster moves up from (or of a fresh one with all parties); a bank's is fresh and
    has the public register alone. Returns what genesis says of the beginning."""
    whole, public = cluster.path("whole.new"), cluster.path("public.new")
    for folder in (whole, public):
        shutil.rmtree(folder, ignore_errors=True)
    rules, rates = [], []
    run([program("kanhe"), "--data", public, "init"])
    for party in cluster.parties:
        if party["role"] in PUBLIC_ROLES:
            add(public, party)
    if from_data:
        must_be_stopped(from_data)
        copy(from_data, whole)
        rules = [rule for rule in ask(whole, "rule", "list") if not rule["default"]]
        rates = ask(whole, "rate", "list")
        copy_rules(rules, rates, public)
    else:
        copy(public, whole)
        for party in cluster.parties:
            if party["role"] not in PUBLIC_ROLES:
                add(whole, party)
                run([program("kanhe"), "--data", whole, "party", "key", party["id"], "--public", keys.party_key(cluster, party["id"])])
    for node in cluster.nodes:
        shutil.rmtree(node.path("data"), ignore_errors=True)
        copy(whole if node.role == "hub" else public, node.path("data"))
    audit = ask(whole, "audit")[0]
    shutil.rmtree(beginning_of(cluster), ignore_errors=True)
    os.rename(whole, beginning_of(cluster))
    shutil.rmtree(public)
    return {"height": audit["height"], "checkpoint": audit["checkpoint_digest"], "public": leaves(rules, rates)}


def make_openings(cluster):
    """What each bank's view begins with: DIR/openings/ID, sealed to the bank, and beside its keys. Returns genesis' word of it; None: a bank
    has more than a file takes, and hubs are asked for what was before."""
    folder = cluster.path("openings")
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder, mode=0o700)
    keys.group_key(cluster)
    boxes = [f"{node.member}={keys.member_keys(node)['box']}" for node in cluster.banks]
    done = subprocess.run([program("kanhe-opening"), cluster.suite, beginning_of(cluster), cluster.hubs[0].path("keys", "group.1.key"), folder, *boxes],
                          capture_output=True, text=True)
    if done.returncode != 0:
        shutil.rmtree(folder)
        if done.returncode != TOO_MUCH:
            raise Trouble(done.stderr.strip() or f"kanhe-opening: {done.returncode}")
        print(f"cluster: {done.stderr.strip()}; so it is, and banks' nodes ask hubs for what was before", file=sys.stderr)
        return None
    for node in cluster.banks:
        shutil.copy2(os.path.join(folder, str(node.member)), node.path("keys", "opening"))
    return done.stdout.strip()


def leaves(rules, rates):
    lines = [run([program("kanhe-leaf"), "rule", rule["rule"], rule["value"]]) for rule in rules]
    lines += [run([program("kanhe-leaf"), "rate", rate["from"], rate["to"], rate["date"], rate["rate"], rate["source"]]) for rate in rates]
    return [dict(zip(("key", "value"), line.split())) for line in sorted(lines)]
