"""Fetches one source distribution from the package index that pip is configured for, checks it and unpacks it.

    fetch.py NAME VERSION SHA256 FOLDER      prints the unpacked folder, FOLDER/NAME-VERSION

`pip download` cannot do this: it builds the package's metadata, which for onnx means compiling it. Only the standard
library is used, and of pip only its settings (index-url, cert). Credentials for the index come from its URL or ~/.netrc.
"""

import ast
import base64
import hashlib
import html.parser
import json
import netrc
import os
import shutil
import ssl
import subprocess
import sys
import tarfile
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

TIMEOUT = 60  # seconds without a byte


def pip_settings():
    """What `pip config list` says: files first, the PIP_* environment last, so that it wins."""
    listing = subprocess.run([sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True).stdout
    rows = [line.split("=", 1) for line in listing.splitlines() if "=" in line]
    rows.sort(key=lambda row: row[0].startswith(":env:"))
    return {key.rsplit(".", 1)[-1]: ast.literal_eval(value) for key, value in rows}


class Index:
    """The simple index (PEP 503 and PEP 691) that pip would use."""

    def __init__(self, settings):
        self.url = settings.get("index-url", "https://pypi.org/simple").rstrip("/") + "/"
        context = ssl.create_default_context(cafile=settings.get("cert") or os.environ.get("REQUESTS_CA_BUNDLE"))
        self.opener = urllib.request.build_opener(urllib.request.HTTPSHandler(context=context))

    def open(self, url, accept="*/*"):
        parts = urllib.parse.urlsplit(url)
        request = urllib.request.Request(parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl())
        request.add_header("Accept", accept)
        login = credentials(parts)
        if login:
            request.add_header("Authorization", "Basic " + base64.b64encode(login.encode()).decode())
        return self.opener.open(request, timeout=TIMEOUT)

    def find(self, name, filename):
        """The URL of one file of a project."""
        accept = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.1"
        with self.open(urllib.parse.urljoin(self.url, name + "/"), accept) as page:
            base, text = page.url, page.read().decode()
            if "json" in page.headers.get("Content-Type", ""):
                links = [file["url"] for file in json.loads(text)["files"]]
            else:
                links = Links.of(text)
        for link in links:
            url = urllib.parse.urljoin(base, link)
            if urllib.parse.urlsplit(url).path.endswith("/" + filename):
                return urllib.parse.urldefrag(url).url
        sys.exit(f"error: {self.url} has no {filename}")


class Links(html.parser.HTMLParser):
    """The targets of all anchors of a page."""

    def __init__(self):
        super().__init__()
        self.found = []

    def handle_starttag(self, tag, attributes):
        if tag == "a":
            self.found += [value for key, value in attributes if key == "href"]

    @staticmethod
    def of(text):
        parser = Links()
        parser.feed(text)
        return parser.found


def credentials(parts):
    if parts.username:
        return f"{urllib.parse.unquote(parts.username)}:{urllib.parse.unquote(parts.password or '')}"
    try:
        entry = netrc.netrc().authenticators(parts.hostname or "")
    except (FileNotFoundError, netrc.NetrcParseError):
        return None
    return f"{entry[0]}:{entry[2]}" if entry else None


def download(index, url, sha256, target):
    """Three attempts, because networks fail; the file appears under its name only when its hash is right."""
    part = target.with_suffix(".part")
    for attempt in range(3):
        try:
            with index.open(url) as source, open(part, "wb") as copy:
                shutil.copyfileobj(source, copy)
            break
        except (urllib.error.URLError, TimeoutError, ConnectionError) as failure:
            if attempt == 2:
                sys.exit(f"error: cannot download {url}: {failure}")
            time.sleep(2**attempt)
    found = hashlib.sha256(part.read_bytes()).hexdigest()
    if found != sha256:
        part.unlink()
        sys.exit(f"error: {url} has sha256 {found} instead of {sha256}")
    os.replace(part, target)


def unpack(archive, folder):
    """Into a temporary folder first, so that a folder with the final name is always whole."""
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch, tarfile.open(archive) as tar:
        if hasattr(tarfile, "data_filter"):
            tar.extractall(scratch, filter="data")
        else:
            tar.extractall(scratch)
        os.replace(Path(scratch) / folder.name, folder)


def main(name, version, sha256, target):
    folder = Path(target).resolve() / f"{name}-{version}"
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        archive = folder.with_name(folder.name + ".tar.gz")
        if not archive.is_file() or hashlib.sha256(archive.read_bytes()).hexdigest() != sha256:
            index = Index(pip_settings())
            try:
                url = index.find(name, archive.name)
            except (urllib.error.URLError, TimeoutError) as failure:
                sys.exit(f"error: cannot read the package index {index.url}: {failure}")
            download(index, url, sha256, archive)
        unpack(archive, folder)
        archive.unlink()
    print(folder)


if __name__ == "__main__":
    if len(sys.argv) != 5:
        sys.exit(__doc__)
    main(*sys.argv[1:])
