"""Asks `fathom serve` what its own description allows and does not allow (pip install schemathesis==4.32.5):
    python tests/reference/openapi.py FATHOM MAKE_FILES [--examples N]

Schemathesis makes requests out of /openapi.json, good and bad ones, and checks every reply against it: no server error, the status, type
and schema that are described, methods that are refused, an Allow beside those. The server has a tiny model with a dictionary, a
catalogue and a data folder of its own; MAKE_FILES is the test suite's program that writes them (cli_make_files). Ends with
schemathesis's own status."""

import argparse
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile

# What a description can say is no promise that all of it is accepted: a text may be longer than the model reads, a feature not there.
CHECKS = ("not_a_server_error", "status_code_conformance", "content_type_conformance", "response_headers_conformance",
          "response_schema_conformance", "negative_data_rejection", "missing_required_header", "unsupported_method",
          "allow_header_conformance", "ignored_auth")
CORPUS = ["the cat sat on the mat", "the dog ran to the river", "a bird sang in the tree", "the river ran by the old mill"]
SEED = 1


def prepare(folder, fathom, make_files):
    subprocess.run([make_files, "."], cwd=folder, check=True)
    corpus = folder / "corpus.jsonl"
    corpus.write_text("".join(json.dumps({"text": text}) + "\n" for text in CORPUS))
    environment = dict(os.environ, HOME=str(folder), XDG_DATA_HOME=str(folder / "data"), XDG_CACHE_HOME=str(folder / "cache"))
    subprocess.run([fathom, "index", "toy.gguf", "-q", "-t", "1", "-m", "llama.gguf", "--context", "32", "--corpus", corpus, "--catalogue",
                    "catalogue.sqlite"], cwd=folder, env=environment, check=True, stdout=subprocess.DEVNULL)
    return environment


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("fathom", type=pathlib.Path)
    parser.add_argument("make_files", type=pathlib.Path)
    parser.add_argument("--examples", type=int, default=30, help="requests of each kind for each route (30)")
    arguments = parser.parse_args()
    fathom, make_files = arguments.fathom.resolve(), arguments.make_files.resolve()
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        environment = prepare(folder, fathom, make_files)
        server = subprocess.Popen([fathom, "serve", "-m", "llama.gguf", "--dict", "toy.gguf", "--catalogue", "catalogue.sqlite", "--port", "0",
                                   "--threads", "1", "--context", "1024", "--no-access-log"], cwd=folder, env=environment, stderr=subprocess.PIPE, text=True)
        try:
            address = re.search(r"http://\S+:\d+", server.stderr.readline())[0]
            command = [pathlib.Path(sys.executable).with_name("schemathesis"), "run", address + "/openapi.json", "--seed", str(SEED), "--max-examples",
                       str(arguments.examples), "--phases", "examples,coverage,fuzzing", "--checks", ",".join(CHECKS), "--continue-on-failure"]
            status = subprocess.run(command, cwd=folder).returncode
            if server.poll() is not None:
                print("the server has ended", file=sys.stderr)
                status = 1
        finally:
            server.terminate()
            server.wait()
    return status


if __name__ == "__main__":
    sys.exit(main())
