"""Write docs/report.png, the picture of a report's first page: python docs/screenshot.py FOLDER.

Needs playwright and Debian's chromium, or playwright's own browser.
"""

import shutil
import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

TARGET = Path(__file__).with_name("report.png")
SIZE = {"width": 1280, "height": 535}
COLOURS = 32  # of a page of few; a third of the bytes


def main(folder: str) -> None:
    """Open the index.html of a folder and save what a screen shows."""
    with sync_playwright() as playwright:
        path = shutil.which("chromium") or playwright.chromium.executable_path
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        page = browser.new_page(viewport=SIZE)
        page.goto((Path(folder).resolve() / "index.html").as_uri())
        page.wait_for_timeout(1000)  # the tables' script
        page.screenshot(path=str(TARGET))
        browser.close()
    image = Image.open(TARGET).convert("RGB")
    image.quantize(COLOURS, dither=Image.Dither.NONE).save(TARGET, optimize=True)
    print(TARGET, TARGET.stat().st_size, "bytes")


if __name__ == "__main__":
    main(sys.argv[1])
