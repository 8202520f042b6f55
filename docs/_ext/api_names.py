"""The page of the API, written from the modules, and links from other pages to it."""

import re
from pathlib import Path

from api_pages import MODULES, documented, target_of, targets
from docutils import nodes
from sphinx import addnodes
from sphinx.transforms import SphinxTransform

# Pages where ``"triplet"`` is the name of a loss.
QUOTED_ON = ("guide/deep",)
# A citation as numpydoc names it, which means something on the page of its docstring only.
CITED = re.compile(r"\[?R[0-9a-f]{12}-\d+\]?")


class LinkNames(SphinxTransform):
    """Link literals that are public names to their pages of the API."""

    default_priority = 500

    def apply(self, **kwargs):
        page = self.env.docname
        for literal in list(self.document.findall(nodes.literal)):
            full = target_of(literal.astext(), self.config.api_names)
            if full is None or inside(
                literal, (nodes.reference, addnodes.pending_xref, nodes.title)
            ):
                continue
            if literal.astext().startswith('"') and page not in QUOTED_ON:
                continue
            if page.startswith("generated/") and (
                full in page or full.rpartition(".")[2].islower()
            ):
                continue
            link = addnodes.pending_xref(
                "", refdomain="py", reftype="obj", reftarget=full, refdoc=page, refwarn=True
            )
            literal.replace_self(link)
            link += literal


class NamesAreNoAddresses(SphinxTransform):
    """Write measures such as DIR@FAR as text: docutils takes them for addresses of mail."""

    default_priority = 500

    def apply(self, **kwargs):
        for link in list(self.document.findall(nodes.reference)):
            if link.get("refuri", "").startswith("mailto:"):
                link.replace_self(link.children)


def without_citations(app, doctree):
    """Leave the citations of docstrings out of their first lines in the tables of the API."""
    if app.env.docname != "api":
        return
    for node in list(doctree.findall(lambda found: CITED.fullmatch(found.astext()) is not None)):
        if node.parent is not None and isinstance(node, (nodes.reference, addnodes.pending_xref)):
            node.parent.remove(node)
    for line in doctree.findall(nodes.paragraph):
        join_texts(line)
    for text in list(doctree.findall(nodes.Text)):
        plain = re.sub(r" +([.,:)])", r"\1", text.replace("(; ", "(").replace(" ()", ""))
        if plain != text:
            text.parent.replace(text, nodes.Text(plain))


def join_texts(node):
    """Make one of texts that stand side by side, where what was between them is gone."""
    joined = []
    for child in node.children:
        if joined and isinstance(joined[-1], nodes.Text) and isinstance(child, nodes.Text):
            joined[-1] = nodes.Text(joined[-1] + child)
        else:
            joined.append(child)
    node[:] = joined


def inside(node, kinds):
    """Say whether a node stands in a node of certain kinds."""
    while node.parent is not None:
        node = node.parent
        if isinstance(node, kinds):
            return True
    return False


def write_api_page(app, config):
    """List every public name of every module, so that none can be forgotten."""
    lines = ["API", "===", "", ".. currentmodule:: metriclearn", ""]
    for module, names in documented().items():
        title = MODULES[module]
        lines += [title, "-" * len(title), "", f"``{module}``", ""]
        lines += [".. autosummary::", "   :toctree: generated", "   :nosignatures:", ""]
        # Relative to the module of the page, as autosummary wants them.
        lines += [f"   ~{name.removeprefix('metriclearn.')}" for name in sorted(names)] + [""]
    page = Path(app.srcdir) / "api.rst"
    text = "\n".join(lines)
    if not page.exists() or page.read_text() != text:
        page.write_text(text)
    config.api_names = targets()


def setup(app):
    app.add_config_value("api_names", {}, "")
    app.connect("config-inited", write_api_page)
    app.add_transform(NamesAreNoAddresses)
    app.add_transform(LinkNames)
    app.connect("doctree-read", without_citations)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
