"""Provokes the messages of docs/troubleshooting.md: compiled folders, the machine, packages, the Hub.

Each function is registered under the heading of its entry and returns what the command printed.
"""

from __future__ import annotations

import fcntl
import json

from tests.docs.bench import Bench, entry
from tests.hub_server import HubServer
from tests.hub_server.client import ALICE, READER, STRANGER, client_environment

# --- the compiled folder


@entry("A task is up to date")
def _(bench: Bench) -> str:
    bench.toy()
    bench.compile()
    return bench.compile()


@entry("A shard differs from its manifest")
def _(bench: Bench) -> str:
    bench.toy()
    bench.compile()
    (shard,) = (bench.folder / "vision-flan/toy_color").glob("*.parquet")
    content = bytearray(shard.read_bytes())
    content[100] ^= 1
    shard.write_bytes(content)
    return bench.vflan("verify vision-flan")


@entry("The folder holds no compiled config")
def _(bench: Bench) -> str:
    (bench.folder / "vision-flan").mkdir()
    return bench.vflan("stats vision-flan")


@entry("A manifest is newer than the package")
def _(bench: Bench) -> str:
    bench.toy()
    bench.compile()
    path = bench.folder / "vision-flan/manifest/toy_color.json"
    manifest = json.loads(path.read_text())
    path.write_text(json.dumps(manifest | {"manifest_version": manifest["manifest_version"] + 1}))
    return bench.vflan("verify vision-flan")


@entry("Installed versions are not the tested ones")
def _(bench: Bench) -> str:
    bench.toy()
    bench.monkeypatch.setattr(
        "vision_flan.versions._installed", lambda name: "99.0" if name == "duckdb" else None
    )
    return bench.compile()


# --- the machine


@entry("Another compile of the task is running")
def _(bench: Bench) -> str:
    bench.toy()
    lock = bench.folder / "vision-flan/.vflan/toy_color/lock"
    lock.parent.mkdir(parents=True)
    with lock.open("w") as file:
        file.write("process 4711 on node-3\n")
        file.flush()
        fcntl.flock(file, fcntl.LOCK_EX)
        return bench.compile()


@entry("There is no space left")
def _(bench: Bench) -> str:
    bench.toy()
    full = (
        "import errno\nfrom vision_flan.dataset.shards import ShardWriter\n"
        "def write(*a, **k): raise OSError(errno.ENOSPC, 'No space left on device', 'vision-flan')\n"
        "ShardWriter.write = ShardWriter.add = write\n"
    )
    return bench.process("compile --task toy_color", full)


@entry("Permission is denied")
def _(bench: Bench) -> str:
    bench.toy()
    denied = (
        "import errno, os\nreal = os.mkdir\n"
        "def mkdir(path, *a, **k):\n"
        "    if '/out' in str(path): raise PermissionError(errno.EACCES, 'Permission denied', str(path))\n"
        "    return real(path, *a, **k)\n"
        "os.mkdir = mkdir\n"
    )
    return bench.process("compile --task toy_color --out /out/vision-flan", denied)


@entry("A process takes too much memory")
def _(bench: Bench) -> str:
    bench.toy()
    greedy = (
        "from vision_flan.readers.image_refs import ImageStore\n"
        "def read(self, ref): return [bytearray(1 << 26) for _ in range(1 << 20)]\n"
        "ImageStore.read = ImageStore.read_stamped = read\n"
    )
    return bench.process("compile --task toy_color", greedy, {"VFLAN_LIMIT_MEMORY": "1G"})


@entry("A command was interrupted")
def _(bench: Bench) -> str:
    bench.toy()
    interrupted = (
        "from vision_flan.readers.image_refs import ImageStore\n"
        "def read(self, ref): raise KeyboardInterrupt\n"
        "ImageStore.read = ImageStore.read_stamped = read\n"
    )
    return bench.process("compile --task toy_color", interrupted)


# --- extras


@entry("torch is not installed")
def _(bench: Bench) -> str:
    return bench.without("torch", "train tiny_cpu data.root=vision-flan")


@entry("MATLAB files want an extra")
def _(bench: Bench) -> str:
    bench.vflan("miniature cars --out raw --n 20")
    return bench.without("scipy", "compile --task vehicle_cars --raw raw")


@entry("A command wants an extra")
def _(bench: Bench) -> str:
    bench.toy()
    bench.compile()
    return bench.without("cleanvision", "audit vision-flan")


# --- the Hub


@entry("There is no token")
def _(bench: Bench) -> str:
    return bench.publish(token="")


@entry("The token is not accepted (401)")
def _(bench: Bench) -> str:
    return bench.publish(token="hf_wrong")


@entry("The token is read-only")
def _(bench: Bench) -> str:
    return bench.publish(token=READER.token)


@entry("You are not a writer there (403)")
def _(bench: Bench) -> str:
    return bench.publish(token=STRANGER.token)


@entry("The name is not OWNER/NAME")
def _(bench: Bench) -> str:
    return bench.publish(repo="vision-flan")


@entry("The Hub limits the rate (429)")
def _(bench: Bench) -> str:
    return bench.publish(fault={"status": 429, "headers": {"Retry-After": "1"}})


@entry("There is no such repository")
def _(bench: Bench) -> str:
    with HubServer(bench.folder / "hub", [ALICE]) as hub:
        env = client_environment(hub, bench.folder / "home", "lfs", ALICE.token)
        return bench.process("rehydrate ORG/nothing --raw . --out mine", env=env)


@entry("The storage quota is full")
def _(bench: Bench) -> str:
    return bench.publish(fault={"status": 403, "message": "Private storage limit reached, please upgrade"})
