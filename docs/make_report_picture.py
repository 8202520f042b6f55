"""Draw the picture of the report in the README: docs/_static/report.png.

Run with a chromium on the path::

    metriclearn compare wine --json wine.json \\
        --learners euclidean,standardized,lmnn,nca,triplet,proxy_anchor
    python docs/make_report_picture.py wine.json
"""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

from metriclearn.compare import ComparisonResult

OUT = Path(__file__).parent / "_static" / "report.png"
WIDTH, HEIGHT = 1120, 1050
COLORS = 256  # enough for a page of text, and half of the bytes


def main(numbers):
    """Render the result, and keep the first screen of it."""
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        sys.exit("there is no chromium on the path")
    with tempfile.TemporaryDirectory() as folder:
        page, shot = Path(folder, "report.html"), Path(folder, "shot.png")
        ComparisonResult.from_json(numbers).to_html(page)
        subprocess.run(
            [
                *(chromium, "--headless", "--no-sandbox", "--hide-scrollbars"),
                *(f"--window-size={WIDTH},{HEIGHT}", f"--screenshot={shot}", page.as_uri()),
            ],
            check=True,
            capture_output=True,
        )
        image = Image.open(shot).convert("RGB").quantize(COLORS)
        image.save(OUT, optimize=True)
    print(OUT)


if __name__ == "__main__":
    main(sys.argv[1])
