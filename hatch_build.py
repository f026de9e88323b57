"""What is built of README.md for an index, where relative links would lead nowhere."""

import pathlib
import re
import urllib.parse

from hatchling.metadata.plugin.interface import MetadataHookInterface

LINK = re.compile(r"(!?)(\[[^\]]*\])\(([^()\s]+)\)")  # or with !, a picture


class ReadmeHook(MetadataHookInterface):
    """Makes the links absolute, into the release's tag at the address `Source`, if there is one.

    The paths below it are those of GitHub, which GitLab understands, too.
    """

    def update(self, metadata):
        text = (pathlib.Path(self.root) / "README.md").read_text(encoding="utf-8")
        if source := metadata.get("urls", {}).get("Source"):

            def make_absolute(link):
                picture, title, target = link.groups()
                kind = "raw" if picture else "blob"
                page = f"{source}/{kind}/v{metadata['version']}/README.md"
                return f"{picture}{title}({urllib.parse.urljoin(page, target)})"

            text = LINK.sub(make_absolute, text)
        metadata["readme"] = {"content-type": "text/markdown", "text": text}
