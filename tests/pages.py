"""The pages that people read: their blocks of code, and which files, commands and names they mention in vain."""

import ast
import importlib
import importlib.util
import re
import textwrap
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGES = {
    path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
    for path in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "benchmarks/README.md", *ROOT.glob("docs/*.md"))
}
FOLDERS = (r"\.ci", "benchmarks", "docs", "kernels", "src", "tests")
BOUNDS = r"(?<![\w./-])"  # before a name that is no part of another


def blocks(text, language):
    """What stands between ```language and ```."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)


def code(text):
    """All code, of blocks and within sentences, on lines of its own."""
    fenced = r"^ *```\w*\n(.*?)^ *```$"
    spans = re.findall(r"`([^`\n]+)`", re.sub(fenced, "", text, flags=re.MULTILINE | re.DOTALL))
    return "\n".join([*re.findall(fenced, text, flags=re.MULTILINE | re.DOTALL), *spans])


def linked(text, name):
    """The pages that one of this name links to, as paths from the root."""
    targets = [target.partition("#")[0] for target in links(text)]
    paths = [(ROOT / name).parent / target for target in targets if target.endswith(".md")]
    return {path.resolve().relative_to(ROOT.resolve()).as_posix() for path in paths}


def links(text):
    """Targets of links within the repository."""
    return [target for target in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in target]


def anchors(text):
    """What links to headings of a page end with, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", text, flags=re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def complaints(name, text):
    """What a page mentions and does not exist."""
    return [
        *wrong_links(name, text), *missing_files(text), *wrong_installs(text), *wrong_sessions(text),
        *wrong_commands(text), *wrong_scripts(name, text), *wrong_changes(text), *wrong_variables(text),
        *wrong_names(text),
    ]  # fmt: skip


def wrong_links(name, text):
    for target in links(text):
        file, _, anchor = target.partition("#")
        path = (ROOT / name).parent / file if file else ROOT / name
        if not path.exists():
            yield f"link: {target}"
        elif anchor and anchor not in anchors(path.read_text(encoding="utf-8")):
            yield f"anchor: {target}"


def missing_files(text):
    """Of files and folders, by their path from the root."""
    for path in re.findall(rf"{BOUNDS}((?:{'|'.join(FOLDERS)})/[\w./*-]*)", text):
        if not list(ROOT.glob(path.rstrip("./") or ".")):
            yield f"file: {path}"


def wrong_installs(text):
    """Of extras and groups of dependencies."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    for extras in re.findall(r"(?<=\.\[)[\w, -]+(?=\])", text):
        for extra in re.split(", *", extras):
            if extra not in project["project"]["optional-dependencies"]:
                yield f"extra: {extra}"
    for group in re.findall(r"--group (\w+)", text):
        if group not in project["dependency-groups"]:
            yield f"group: {group}"


def sessions():
    """Of nox."""
    tree = ast.parse((ROOT / "noxfile.py").read_text(encoding="utf-8"))
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    return {f.name for f in functions if any("session" in ast.unparse(d) for d in f.decorator_list)}


def wrong_sessions(text):
    for names in re.findall(r"\bnox -s((?: \w+)+)", text):
        for session in names.split():
            if session not in sessions():
                yield f"session: {session}"


def wrong_commands(text):
    """Of `fastmlp`."""
    from fastmlp.cli.cli import _parser

    jobs = next(action.choices for action in _parser()._actions if action.choices)
    for command, rest in re.findall(r"^(?:\.venv/bin/)?fastmlp (\w+)(.*)$", code(text), flags=re.MULTILINE):
        if command not in jobs:
            yield f"command: fastmlp {command}"
            continue
        for option in re.findall(r"--[\w-]+", rest):
            if option not in jobs[command]._option_string_actions:
                yield f"option: fastmlp {command} {option}"


def wrong_scripts(name, text):
    """Of `python FILE` and `python -m MODULE`, from the root, the page's folder or that of the tests."""
    folders = [ROOT, (ROOT / name).parent, ROOT / "tests"]
    for module, file, rest in re.findall(r"\bpython3?(?: (-m))? ([a-z][\w./]*)([^`\n]*)", text):
        parts = file.replace(".", "/") if module else file
        found = [folder / end for folder in folders for end in (parts, f"{parts}.py", f"{parts}/__main__.py")]
        found = [path for path in found if path.is_file()]
        if not found:
            package = file.split(".")[0]
            installed = module and not (ROOT / package).exists() and importlib.util.find_spec(package)
            if not installed and (module or file.endswith(".py")):
                yield f"script: {file}"
            continue
        sources = "".join(path.read_text(encoding="utf-8") for path in found[0].parent.glob("*.py"))
        for option in re.findall(r"--[a-z][\w-]+", rest.partition("#")[0].partition("&&")[0]):
            if f'"{option}"' not in sources:
                yield f"option: {file} {option}"


def wrong_changes(text):
    """Of a file, as a diff: the lines around what is new, one after the other, must be there."""
    for _, block in re.findall(r"^( *)```diff\n(.*?)^\1```$", text, flags=re.MULTILINE | re.DOTALL):
        head, *lines = textwrap.dedent(block).splitlines()
        path = ROOT / head.removeprefix("--- ")
        around = "".join(f"{line[1:]}\n" for line in lines if line.startswith(" "))
        if not path.is_file() or not around or around not in path.read_text(encoding="utf-8"):
            yield f"diff: {head} {around.strip()}"


def wrong_variables(text):
    """Of the environment."""
    files = ("pyproject.toml", "build_backend.py", "src/**/*.py", "kernels/**/*.py")
    sources = "".join(path.read_text(encoding="utf-8") for pattern in files for path in ROOT.glob(pattern))
    for variable in set(re.findall(r"\bFASTMLP_\w+", text)):
        if variable not in sources:
            yield f"variable: {variable}"


def wrong_names(text):
    """Of the package: `fastmlp.a.b`."""
    for dotted in set(re.findall(rf"{BOUNDS}fastmlp((?:\.[A-Za-z]\w*)+)", text)):
        thing, path = importlib.import_module("fastmlp"), "fastmlp"
        for part in dotted.split(".")[1:]:
            path = f"{path}.{part}"
            if not hasattr(thing, part) and hasattr(thing, "__path__") and importlib.util.find_spec(path):
                importlib.import_module(path)
            if not hasattr(thing, part):
                yield f"name: {path}"
                break
            thing = getattr(thing, part)
