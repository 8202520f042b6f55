"""Print the lowest versions that pyproject.toml allows, as constraints for pip."""

import re
import tomllib
from pathlib import Path

# Kept as constraints.txt has it: older wheels of torch bring CUDA, several gigabytes.
KEPT = {"torch": "2.13.0"}
TOOLS = {"dev", "bench"}

project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
lists = [project["dependencies"]]
lists += [group for name, group in project["optional-dependencies"].items() if name not in TOOLS]
floors = {}
for requirement in (requirement for group in lists for requirement in group):
    match = re.fullmatch(r"([\w.-]+)>=([\w.]+)", requirement.split(";")[0].strip())
    if match:
        floors[match[1]] = KEPT.get(match[1], match[2])
print("\n".join(f"{name}=={version}" for name, version in sorted(floors.items())))
