"""Estimators made of parts, whose parameters can be set one by one."""

from __future__ import annotations

from typing import Any, Self


class NestedParamsMixin:
    """Estimators whose components' parameters are dicts, settable one by one.

    For each name in ``_components`` the constructor takes ``{name}_params``.
    ``get_params(deep=True)`` shows the entries as ``{name}__{key}``;
    ``set_params`` takes the same and writes to a copy of the dict, so that one
    shared with a clone is not changed. A key that the component does not take is
    an error at once, where the component is known by then.
    """

    #: Names of the components.
    _components: tuple[str, ...] = ()

    def _check_component(self, component: str, params: dict[str, Any]) -> None:
        """Check that a component takes parameters; nothing by default."""

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Get the parameters, those of the components included.

        Parameters
        ----------
        deep : bool, default=True
            Show the entries of ``module_params``, ``loss_params`` and so on
            as ``module__hidden_units``, ``loss__margin`` too.

        Returns
        -------
        dict
        """
        params = super().get_params(deep=deep)  # type: ignore[misc]
        if deep:
            for name in self._components:
                entries = params[f"{name}_params"]
                if isinstance(entries, dict):
                    params.update({f"{name}__{key}": value for key, value in entries.items()})
        return params

    def set_params(self, **params: Any) -> Self:
        """Set parameters; ``loss__margin=0.2`` sets one entry of ``loss_params``.

        Parameters
        ----------
        **params
            Names as :meth:`get_params` shows them, or any ``{component}__{key}``.

        Returns
        -------
        self
        """
        entries = {}
        for name in list(params):
            component, separator, key = name.partition("__")
            if separator and component in self._components:
                entries.setdefault(component, {})[key] = params.pop(name)
        super().set_params(**params)  # type: ignore[misc]
        for component, changed in entries.items():
            # An argument of a part of a part is checked when that is made.
            own = {key: value for key, value in changed.items() if "__" not in key}
            self._check_component(component, own)
        for component, changed in entries.items():
            present = self.get_params(deep=False)[f"{component}_params"] or {}
            setattr(self, f"{component}_params", {**present, **changed})
        return self
