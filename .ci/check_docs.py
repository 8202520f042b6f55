"""Check the built pages: enough pictures, nothing from elsewhere, a picture for each name."""

import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "docs" / "_ext"))
from families import is_without_picture

FEWEST_PICTURES = 15

folder = Path(sys.argv[1])
pages = {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*.html")}
pictures = sum(text.count("<img") for name, text in pages.items() if name.startswith("gallery/"))
if pictures < FEWEST_PICTURES:
    sys.exit(f"the gallery has {pictures} pictures, at least {FEWEST_PICTURES} are wanted")
loads = r"<(?:script|img|iframe|video|source)\b[^>]*\bsrc=\"(?:https?:)?//|"
loads += r"<link\b[^>]*rel=\"stylesheet\"[^>]*href=\"(?:https?:)?//"
online = [name for name, text in pages.items() if re.search(loads, text)]
if online:
    sys.exit(f"pages that load something from elsewhere: {online[:5]}")
api = [name for name in pages if name.startswith("generated/")]
bare = [name for name in api if "sphx-glr-thumb" not in pages[name]]
forgotten = [name for name in bare if not is_without_picture(Path(name).stem)]
if forgotten:
    sys.exit(
        f"pages of the API without a picture: {forgotten}; use the name in an example, or add it "
        "to FAMILIES or WITHOUT_PICTURE of docs/_ext/families.py"
    )
links = sum(text.count('href="../generated/') for n, text in pages.items() if "guide/" in n)
print(
    f"{len(pages)} pages, {pictures} pictures in the gallery, {links} links from the guide to the "
    f"API, {len(api) - len(bare)} of {len(api)} pages of the API with a picture"
)
