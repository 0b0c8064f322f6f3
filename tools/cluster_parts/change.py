"""change: what officers order in a running cluster: a change is made for its chain, signed by as many as are needed, handed to a node."""
import http.client
import json
import os
import ssl
import subprocess
import tempfile
import time

from . import keys
from .plan import PORTS, Trouble, program, run

BUSY_S = 60  # two changes of validators do not follow each other at once


def asker(cluster):
    """(certificate, key) of the first regulator: any member's would do, the officers' signatures count."""
    party = next(party["id"] for party in cluster.parties if party["role"] == "regulator")
    return cluster.path("parties", f"{party}.pem"), cluster.path("parties", f"{party}.key")


def show(cluster, node):
    """GET /v1/cluster of a node: the members' register and the sets, as of its newest block; None where it does not answer."""
    context = ssl.create_default_context(cafile=cluster.path("ca.pem"))
    context.load_cert_chain(*asker(cluster))
    connection = http.client.HTTPSConnection(node.address, PORTS["https"], timeout=10, context=context)
    try:
        connection.request("GET", "/v1/cluster")
        answer = connection.getresponse()
        said = json.loads(answer.read())
        return said["results"][0] if answer.status == 200 else None
    except (OSError, ValueError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def kanhe(cluster, node, *words):
    cert, key = asker(cluster)
    return [program("kanhe"), "--connect", node.url, "--ca", cluster.path("ca.pem"), "--cert", cert, "--key", key, "--json", *map(str, words)]


def submit(cluster, node, file):
    """The word of the order; else what the command says."""
    done = subprocess.run(kanhe(cluster, node, "change", "submit", file), capture_output=True, text=True)
    return json.loads(done.stdout)["result"] if done.stdout else done.stderr.strip()


def order(cluster, node, kind, *words):
    """One change, at a node that serves, until it is ordered. A number that another change took, or a BUSY order: once more."""
    until = time.monotonic() + BUSY_S
    with tempfile.TemporaryDirectory(prefix="kanhe-change-") as folder:
        file = os.path.join(folder, "change.json")
        while True:
            run(kanhe(cluster, node, "change", kind, *words, "-o", file))
            for officer in range(1, keys.OFFICERS_NEEDED + 1):
                run([program("kanhe"), "change", "sign", file, "--officer", officer, "--key", cluster.path("officers", f"{officer}.key")])
            said = submit(cluster, node, file)
            while "the same again is harmless" in said and time.monotonic() < until:
                said = submit(cluster, node, file)
                said = "OK" if said == "BAD_SEQUENCE" else said  # it was ordered meanwhile
            if said == "OK":
                return
            if said not in ("BUSY", "BAD_SEQUENCE") or time.monotonic() > until:
                raise Trouble(f"the officers' change of {kind} was not ordered: {said}")
            time.sleep(0.2)


def record(node, party, own, status="active"):
    """The words of a member's record: all of it is said each time."""
    words = ["--id", node.member, "--role", node.role, "--name", party["name"], "--status", status]
    if party.get("uscc"):
        words += ["--uscc", party["uscc"]]
    for name in ("sender", "ack", "attest", "box", "consensus"):
        if own[name]:
            words += ["--" + name, own[name]]
    return words
