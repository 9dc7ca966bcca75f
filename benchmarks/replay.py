"""Whether two checkouts compile to the same machine code: for changes that move or rename code, and change none.

    python benchmarks/replay.py BEFORE AFTER [--level LEVEL ...]

BEFORE and AFTER are folders of checkouts, or revisions of this one (`HEAD~3`, `main`). All kernels of both are compiled
for each CPU level and number type, as the build does. Then code and constants are compared, byte by byte. Where they
differ, the kernels are named whose own code does. The exit status is 1 if anything differs.

Where a difference is meant, `instructions.py` tells what it costs.
"""

import argparse
import re
import struct
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

import llvmlite.binding as llvm
from report import table

COMPARED = ("__text", ".text", "__const", ".rodata", ".rdata")  # how names of sections begin
FUNCTION = 2  # ELF's STT_FUNC


def checkout(argument: str, folder: Path) -> Path:
    """A folder as it is, or a revision in a folder of its own."""
    if Path(argument).is_dir():
        return Path(argument)
    folder.mkdir()
    archive = subprocess.run(["git", "archive", argument], cwd=Path(__file__).parent.parent, capture_output=True)
    if archive.returncode:
        sys.exit(f"BEFORE and AFTER must be folders or revisions, got {argument}: {archive.stderr.decode().strip()}")
    subprocess.run(["tar", "xf", "-", "-C", folder], input=archive.stdout, check=True)
    return folder


def objects(checkout: Path, folder: Path, levels: list[str]) -> dict[str, bytes]:
    """The object files that the build would make, by name."""
    recipe = (checkout / "CMakeLists.txt").read_text()
    module = re.search(r"-m (kernels[\w.]*)", recipe)
    assert module is not None, "CMakeLists.txt names the module that emits objects"
    options = [word for level in levels for word in ("--level", level)]
    subprocess.run([sys.executable, "-m", module[1], folder, *options], cwd=checkout, check=True)
    return {path.name: path.read_bytes() for path in sorted(folder.rglob("*.o"))}


def sections(data: bytes) -> dict[str, bytes]:
    """Those with code and constants. Sections of one name are joined."""
    found: dict[str, bytes] = {}
    for section in llvm.ObjectFileRef.from_data(data).sections():
        name = (section.name() or b"").decode()  # the first of ELF has none
        if name.startswith(COMPARED):
            found[name] = found.get(name, b"") + section.data()
    return found


def functions(data: bytes) -> dict[str, bytes]:
    """The code of each function of an ELF file, by symbol; of other files, nothing."""
    if data[:4] != b"\x7fELF":
        return {}
    (start,) = struct.unpack_from("<Q", data, 40)
    size, count = struct.unpack_from("<HH", data, 58)
    headers = [struct.unpack_from("<IIQQQQIIQQ", data, start + i * size) for i in range(count)]
    found = {}
    for _, kind, _, _, offset, length, link, *_ in headers:
        if kind != 2:  # SHT_SYMTAB
            continue
        for at in range(offset, offset + length, 24):
            name, info, _, section, value, extent = struct.unpack_from("<IBBHQQ", data, at)
            if info & 15 == FUNCTION and 0 < section < count:
                first = headers[link][4] + name
                begin = headers[section][4] + value
                found[data[first : data.index(0, first)].decode()] = data[begin : begin + extent]
    return found


def differing(before: bytes, after: bytes) -> list[str]:
    """The kernels, by symbol, whose own code is not the same, or which only one of both has."""
    old, new = functions(before), functions(after)
    kernels = [name for name in sorted({*old, *new}) if name.startswith("fastmlp_")]
    return [name for name in kernels if old.get(name) != new.get(name)]


def same_functions(before: bytes, after: bytes) -> bool:
    """Whether both have the same functions, whatever their names and their order."""
    old, new = (Counter(functions(data).values()) for data in (before, after))
    return bool(old) and old == new


def compare(before: dict[str, bytes], after: dict[str, bytes]) -> list[list[str]]:
    """A row for each object: its name, the bytes of code and constants in both, and what differs."""
    rows = []
    for name in sorted({*before, *after}):
        if name not in before or name not in after:
            rows.append([name, "", "", "is in one of both only"])
            continue
        old, new = sections(before[name]), sections(after[name])
        changed = [section for section in sorted({*old, *new}) if old.get(section) != new.get(section)]
        named = differing(before[name], after[name]) if changed else []
        if changed and same_functions(before[name], after[name]):
            changed = [section for section in changed if not section.endswith("text")] or ["same, in another order"]
        verdict = ", ".join([*changed, *named[:8], *(["..."] if len(named) > 8 else [])]) or "same"
        sizes = [f"{sum(map(len, each.values())):,}" for each in (old, new)]
        rows.append([name, *sizes, verdict])
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("before", metavar="BEFORE")
    parser.add_argument("after", metavar="AFTER")
    parser.add_argument("--level", action="append", default=[], help="compile for this CPU level only; may be repeated")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        both = []
        for name, argument in (("before", options.before), ("after", options.after)):
            source = checkout(argument, Path(folder, f"{name}_source"))
            both.append(objects(source, Path(folder, name), options.level))
        rows = compare(*both)
    print(table(["object", "before", "after", "code and constants"], rows))
    same = all(row[-1].startswith("same") for row in rows)
    print("The machine code is the same." if same else "The machine code differs.")
    sys.exit(not same)


if __name__ == "__main__":
    main()
