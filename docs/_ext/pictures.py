"""The pictures of an API page: the examples that use its name, else those of its family."""

import json
from pathlib import Path

import families
from sphinx_gallery.directives import MiniGallery


class Pictures(MiniGallery):
    """The examples for one full name, below a heading that says whether they use it."""

    def run(self):
        name = self.arguments[0]
        env = self.state.document.settings.env
        env.note_dependency(families.__file__)
        conf = env.config.sphinx_gallery_conf
        folder = Path(conf["src_dir"]) / conf["backreferences_dir"]
        users = json.loads((folder / "backreferences_all.json").read_text())
        # An example that calls only a constructor such as ``from_estimator`` uses the class, too.
        used = [each for each in users if each == name or each.startswith(f"{name}.")]
        heading = "In pictures" if used else "Related pictures"
        family = [] if used else families.examples_of_family(name)
        scripts = [f"{conf['examples_dirs']}/{each}.py" for each in family]
        if not used + scripts:
            return []
        self.arguments = [" ".join(used + scripts)]
        self.options = {"add-heading": heading, "heading-level": "-"}
        return super().run()


def setup(app):
    app.add_directive("pictures", Pictures)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
