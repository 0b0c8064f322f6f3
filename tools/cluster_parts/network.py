"""network: a network namespace a node, on a bridge; cuts between groups of nodes by blackhole routes in their namespaces."""
import os
import subprocess

from .plan import Trouble, run


def ip(*words):
    return run(["ip", *words])


def exists(kind, name):
    listed = subprocess.run(["ip", *kind, "show"] if kind == ["link"] else ["ip", "netns", "list"], capture_output=True, text=True).stdout
    return any(word.rstrip(":").split("@")[0] == name for word in listed.split())


def make(cluster):
    """The bridge has the block's .1: from there this machine reaches every node."""
    if os.geteuid() != 0:
        raise Trouble("--netns needs root")
    bridge = cluster.tag
    gateway = cluster.addresses[0].rsplit(".", 1)[0] + ".1"
    if not exists(["link"], bridge):
        ip("link", "add", bridge, "type", "bridge")
        ip("addr", "add", gateway + "/24", "dev", bridge)
    ip("link", "set", bridge, "up")
    for node in cluster.nodes:
        if exists(["netns"], node.namespace):
            continue
        outside = node.namespace + "v"
        ip("netns", "add", node.namespace)
        ip("link", "add", outside, "type", "veth", "peer", "name", "eth0", "netns", node.namespace)
        ip("link", "set", outside, "master", bridge, "up")
        ip("-n", node.namespace, "addr", "add", node.address + "/24", "dev", "eth0")
        ip("-n", node.namespace, "link", "set", "lo", "up")
        ip("-n", node.namespace, "link", "set", "eth0", "up")


def take_away(node):
    """The namespace of a node that left."""
    if exists(["netns"], node.namespace):
        ip("netns", "delete", node.namespace)


def remove(cluster):
    for node in cluster.nodes:
        take_away(node)
    if exists(["link"], cluster.tag):
        ip("link", "delete", cluster.tag)


def must_have(cluster):
    if not cluster.netns:
        raise Trouble("partitions need a cluster that was made with --netns")


def cuts(node):
    """The addresses that a node cannot reach."""
    lines = ip("-n", node.namespace, "route", "show", "type", "blackhole").splitlines()
    return {line.split()[1] for line in lines if line.startswith("blackhole ")}


def partition(cluster, groups):
    """A node that no group names reaches all. A second partition replaces the first."""
    must_have(cluster)
    sides = [[cluster.node(name.strip()) for name in group.split(",") if name.strip()] for group in groups.split("|")]
    named = [node.name for side in sides for node in side]
    if len(sides) < 2 or not all(sides) or len(set(named)) != len(named):
        raise Trouble("groups are like 'A,B|C,D': two at least, none empty, each node in one", 2)
    heal(cluster, quiet=True)
    for side in sides:
        others = [node for other in sides if other is not side for node in other]
        for node in side:
            for other in others:
                ip("-n", node.namespace, "route", "add", "blackhole", other.address)
    print(f"cluster: cut: {' | '.join(', '.join(node.name for node in side) for side in sides)}")
    return 0


def heal(cluster, quiet=False):
    must_have(cluster)
    for node in cluster.nodes:
        for address in cuts(node):
            ip("-n", node.namespace, "route", "delete", "blackhole", address)
    if not quiet:
        print("cluster: every node can reach every other")
    return 0
