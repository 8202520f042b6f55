"""The card of a saved model: what it is, in Markdown."""

_USE = """\
```python
import metriclearn

model = metriclearn.load("this folder")
model.transform(X)
```
"""


def render_card(estimator, manifest):
    """Write a model card in Markdown, with the texts that the manifest holds by title."""
    name = manifest["card"].get("Name", type(estimator).__name__)
    lines = [f"# {_plain(name)}", ""]
    lines += ["A metric saved by metriclearn. To use it:", "", _USE]
    for title, text in manifest["card"].items():
        if title == "Name":
            continue
        lines += [f"## {title}", ""]
        lines += (
            [f"- {_plain(item)}" for item in text] if isinstance(text, list) else [_plain(text)]
        )
        lines += [""]
    lines += ["## Estimator", "", "```text", repr(estimator), "```", ""]
    lines += ["## Written with", ""]
    lines += [f"- {name} {version}" for name, version in manifest["versions"].items()]
    return "\n".join(lines) + "\n"


def _plain(text):
    """Keep a text in its paragraph: names of data may hold anything."""
    return " ".join(str(text).split()).replace("<", "&lt;").replace("`", "'")
