"""All mutants of the core in one copy of it: the body of each function is a `match` on a number from the environment."""

import collections
import json
import os
import pathlib
import re
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent.parent
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", HERE / "target")).resolve()
PLACE = TARGET / "mutants"
COPY = PLACE / "copy"
CARGO = os.environ.get("CARGO", "cargo")
# Which package, and which of its tests. `core` is a harness of its own, where a test is left out by name.
JUDGES = {"unit": ("gatepost-core", "--lib"), "session": ("gatepost-core", "--test=session"), "core": ("gatepost-conformance", "--test=core")}
BUILT = dict(os.environ, CARGO_TARGET_DIR=str(TARGET), CARGO_PROFILE_DEV_DEBUG="0", CARGO_INCREMENTAL="1", CARGO_TERM_COLOR="never")

# Stands in the copy while it is checked. Constant functions stay what they are: what they may not do is unviable.
UNCHOSEN = "\npub(crate) const fn mutant(_: usize) -> usize { 0 }\n"
CHOSEN = """
extern crate std;
pub(crate) fn mutant(function: usize) -> usize {
    use std::{collections::BTreeSet, env, fs::File, io::Write as _, sync::{Mutex, OnceLock}};
    static NUMBER: OnceLock<usize> = OnceLock::new();
    static TRACE: OnceLock<Option<Mutex<(BTreeSet<usize>, File)>>> = OnceLock::new();
    let trace = || env::var("GATEPOST_TRACE").ok().map(|path| Mutex::new((BTreeSet::new(), File::create(path).unwrap())));
    if let Some(trace) = TRACE.get_or_init(trace) {
        let mut trace = trace.lock().unwrap();
        if trace.0.insert(function) { writeln!(trace.1, "{function}").unwrap(); }
    }
    *NUMBER.get_or_init(|| env::var("GATEPOST_MUTANT").map_or(usize::MAX, |text| text.parse().unwrap()))
}
"""


class Mutants:
    def __init__(self, listed, sources):
        self.all, self.sources = listed, sources
        # Functions that constants are made of, as file and place, stay constant; and no arm can hold their mutants, nor some others.
        self.constant, self.single = set(), set()
        # The outermost function around each, as a place in its file; of nested ones there is one `match`.
        self.at, self.outer, self.function = [], {}, {}
        starts = {name: [0, *(end.end() for end in re.finditer("\n", text))] for name, text in sources.items()}
        place = lambda m, at: starts[m["file"]][at["line"] - 1] + at["column"] - 1
        spans = collections.defaultdict(set)
        for n, m in enumerate(listed):
            self.at.append((place(m, m["span"]["start"]), place(m, m["span"]["end"])))
            if m["function"]:
                spans[m["file"]].add((place(m, m["function"]["span"]["start"]), place(m, m["function"]["span"]["end"])))
        for n, m in enumerate(listed):
            around = [span for span in spans[m["file"]] if m["function"] and span[0] <= self.at[n][0] and self.at[n][1] <= span[1]]
            if not around:
                self.single.add(n)
                continue
            self.outer[n] = min(around)
            self.function[n] = min(o for o, span in self.outer.items() if span == self.outer[n] and listed[o]["file"] == m["file"])
            # One type stands behind `impl Trait`, and a mutation may be another.
            if "impl " in self.head(m["file"], self.outer[n][0]).rpartition("->")[2]:
                self.single.add(n)

    def head(self, file, start):
        """The text of the function that begins there, up to its body."""
        text, depth, at = self.sources[file], 0, start
        while depth or text[at] != "{":
            if text.startswith("//", at):
                at = text.index("\n", at)
            depth += {"(": 1, "[": 1, ")": -1, "]": -1}.get(text[at], 0)
            at += 1
        return text[start:at]

    def mutated(self, n):
        """The body of its function with the mutation."""
        file, start = self.all[n]["file"], self.outer[n][0]
        text, start = self.sources[file], start + len(self.head(file, start))
        return f"{text[start:self.at[n][0]]}{self.all[n]['replacement']} {text[self.at[n][1]:self.outer[n][1]]}"

    def switched(self, left_out, constant):
        """Writes the core with all mutants but those left out. Returns, by file, the lines of each arm."""
        arms = collections.defaultdict(list)
        for name, text in self.sources.items():
            functions = collections.defaultdict(list)
            for n, m in enumerate(self.all):
                if m["file"] == name and n in self.outer:
                    functions[self.outer[n]] += [n] if n not in left_out else []
            new, done = [], 0
            for (start, end), those in sorted(functions.items()):
                head = self.head(name, start)
                body = text[start + len(head):end]
                if not constant and (name, start) not in self.constant:
                    head = re.sub(r"\bconst (?=fn\b)", "", head)
                if not those:
                    new += [text[done:start], head, body]
                    done = end
                    continue
                new += [text[done:start], head, f"{{ match crate::mutant({self.function[those[0]]}) {{\n"]
                line = "".join(new).count("\n") + 1
                for n in those:
                    new.append(f"{n} => {self.mutated(n)}\n")
                    arms[name].append((line, line + new[-1].count("\n") - 1, n))
                    line += new[-1].count("\n")
                new.append(f"_ => {body}\n}} }}")
                done = end
            new.append(text[done:])
            if name == "core/src/lib.rs":
                new.append(UNCHOSEN if constant else CHOSEN)
            write(name, "".join(new).encode())
        return arms

    def check(self, verdicts):
        """Finds the unviable, and returns them."""
        unviable = {n for n in range(len(self.all)) if verdicts.of(n) == "unviable"}
        while True:
            arms = self.switched(unviable | self.single, constant=True)
            errors, _ = cargo(["check", "-p", "gatepost-core", "--lib"])
            found = {n for file, line in places(errors) for first, last, n in arms[file] if first <= line <= last}
            print(f"{len(found)} more do not compile", flush=True)
            for n in found:
                verdicts.put(n, "unviable", 0, "rustc")
            unviable |= found
            if not found:
                stop_at(errors)
                return unviable

    def build(self, verdicts):
        """Builds the judges; a function that a constant is made of is left to be judged by itself."""
        while True:
            unviable = {n for n in range(len(self.all)) if verdicts.of(n) == "unviable"}
            self.switched(unviable | self.single, constant=False)
            errors, judges = build_judges()
            needed = {name for error in errors for name in re.findall(r"non-const [a-z ]*`(?:[^`]*::)?(\w+)[^`]*` in const", error["message"])}
            of_constants = {n for n in self.outer if self.all[n]["function"]["function_name"].split("::")[-1] in needed}
            found = {(self.all[n]["file"], self.outer[n][0]) for n in of_constants}
            if found <= self.constant:
                stop_at(errors)
                return judges
            self.single |= of_constants
            self.constant |= found

    def write_alone(self, n):
        """Writes the core with this one mutation and no other."""
        (start, end), m = self.at[n], self.all[n]
        for name, text in self.sources.items():
            write(name, (f"{text[:start]}{m['replacement']} {text[end:]}" if name == m["file"] else text).encode())


def copy():
    """Brings the copy to what the checkout is, and returns the core's texts. What is alike is not touched, or it would be built again."""
    names = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=HERE, check=True, stdout=subprocess.PIPE)
    names = [name for name in names.stdout.decode().split("\0") if name and (HERE / name).is_file()]
    sources = {name: (HERE / name).read_text() for name in names if name.startswith("core/src/")}
    for old in [old for old in COPY.rglob("*") if old.is_file() and str(old.relative_to(COPY)) not in names]:
        old.unlink()
    for name in names:
        if name not in sources:
            write(name, (HERE / name).read_bytes())
    return sources


def write(name, octets):
    there = COPY / name
    if not there.exists() or there.read_bytes() != octets:
        there.parent.mkdir(parents=True, exist_ok=True)
        there.write_bytes(octets)


def build_judges(judges=JUDGES):
    packages = {f"-p={JUDGES[judge][0]}" for judge in judges}
    errors, programs = cargo(["test", "--no-run", *sorted(packages), *[JUDGES[judge][1] for judge in judges]])
    return errors, {judge: programs.get({"unit": "gatepost_core"}.get(judge, judge)) for judge in judges}


def cargo(arguments):
    """Runs cargo; returns the compiler's errors and the programs by their targets' names."""
    said = subprocess.run([CARGO, *arguments, "--message-format=json", "--config=profile.dev.opt-level=1"],
                          cwd=COPY, env=BUILT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    told = [json.loads(line) for line in said.stdout.splitlines() if line.startswith(b"{")]
    errors = [t["message"] for t in told if t["reason"] == "compiler-message" and t["message"]["level"] == "error"]
    if said.returncode != 0 and not errors:
        sys.exit(said.stderr.decode())
    return errors, {t["target"]["name"]: t["executable"] for t in told if t.get("executable") and t["profile"]["test"]}


def places(errors):
    """File and line of what the errors are about, through macros."""
    for error in errors:
        for span in error["spans"]:
            while span and span["is_primary"]:
                yield span["file_name"], span["line_start"]
                span = span["expansion"] and dict(span["expansion"]["span"], is_primary=True)


def stop_at(errors):
    if errors:
        sys.exit("\n".join(error["rendered"] for error in errors))
