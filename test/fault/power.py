"""power.py -- what a power cut leaves of a directory, from what power_cut.c remembered.

Everything synced is there. Of the rest, each sector of 512 bytes is old or new and each name old or
new, at random: disks and file systems promise no order without a sync.
"""

import pathlib
import shutil

SECTOR = 512


def begin(library, directory, shadow):
    """The environment for a program whose directory is, as it stands now, all on the disk."""
    shutil.rmtree(shadow, ignore_errors=True)
    shadow.mkdir()
    for folder in (directory, *(p for p in directory.rglob("*") if p.is_dir())):
        files = [p for p in folder.iterdir() if p.is_file()]
        for path in files:
            ino = path.stat().st_ino
            (shadow / f"{ino}.link").hardlink_to(path)
            shutil.copyfile(path, shadow / f"{ino}.bytes")
        lines = "".join(f"{p.stat().st_ino} {p.name}\n" for p in files)
        (shadow / f"{folder.stat().st_ino}.dir").write_text(lines)
    return {
        "LD_PRELOAD": str(library),
        "POWER_CUT_BELOW": str(directory),
        "POWER_CUT_SHADOW": str(shadow),
    }


def mixed(synced, now, chance, share):
    """`share` of the sectors that differ are new; where there was nothing yet, old is zeros."""
    size = len(now) if chance.random() < share else len(synced)
    both = bytearray(synced[:size].ljust(size, b"\0"))
    for at in range(0, min(size, len(now)), SECTOR):
        piece = now[at : at + SECTOR]
        if both[at : at + len(piece)] != piece and chance.random() < share:
            both[at : at + len(piece)] = piece
    return bytes(both[:size])


class Cut:
    def __init__(self, shadow, chance, share):
        self.shadow, self.chance, self.share = shadow, chance, share

    def content(self, ino, now):
        """Of an inode that the shadow holds, or of the file `now` that nobody ever synced."""
        held = self.shadow / f"{ino}.link"
        current = (held if held.exists() else now).read_bytes()
        synced = self.shadow / f"{ino}.bytes"
        return mixed(synced.read_bytes() if synced.exists() else b"", current, self.chance, self.share)

    def names(self, folder):
        """(name, inode or None) as they were and as they are: one of both for each."""
        listing = self.shadow / f"{folder.stat().st_ino}.dir"
        lines = listing.read_text().splitlines() if listing.exists() else []
        was = {name: int(ino) for ino, name in (line.split(" ", 1) for line in lines)}
        now = {p.name: p.stat().st_ino for p in folder.iterdir() if p.is_file()}
        for name in sorted({*was, *now}):
            new = was.get(name) == now.get(name) or self.chance.random() < self.share
            ino = (now if new else was).get(name)
            if ino is not None:
                yield name, ino

    def copy(self, folder, target):
        target.mkdir(mode=0o700)
        for name, ino in self.names(folder):
            path = target / name
            path.write_bytes(self.content(ino, folder / name))
            path.chmod(0o600)
        for sub in sorted(p for p in folder.iterdir() if p.is_dir()):
            self.copy(sub, target / sub.name)


def cut(directory, shadow, chance, share):
    """Replaces the directory by what is left of it; what it was stays beside, as *.before-N."""
    directory = pathlib.Path(directory)
    image = directory.with_name(directory.name + ".image")
    Cut(shadow, chance, share).copy(directory, image)
    n = sum(1 for _ in directory.parent.glob(directory.name + ".before-*"))
    directory.rename(directory.with_name(f"{directory.name}.before-{n}"))
    image.rename(directory)
