"""``loss__margin`` as a view into ``loss_params["margin"]``."""


class NestedParamsMixin:
    """Estimators whose components' parameters are dicts, settable one by one.

    For each name in ``_components`` the constructor takes ``{name}_params``.
    ``get_params(deep=True)`` shows the entries as ``{name}__{key}``;
    ``set_params`` takes the same and writes to a copy of the dict, so that one
    shared with a clone is not changed. Which keys a component takes is known
    only with its class, so they are checked in ``fit``.
    """

    _components = ()

    def get_params(self, deep=True):
        """Get the parameters, those of the components among them.

        Parameters
        ----------
        deep : bool, default=True
            Show the entries of ``module_params``, ``loss_params`` and so on
            as ``module__hidden_units``, ``loss__margin`` too.

        Returns
        -------
        dict
        """
        params = super().get_params(deep=deep)
        if deep:
            for name in self._components:
                entries = getattr(self, f"{name}_params")
                if isinstance(entries, dict):
                    params.update({f"{name}__{key}": value for key, value in entries.items()})
        return params

    def set_params(self, **params):
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
        super().set_params(**params)
        for component, changed in entries.items():
            present = getattr(self, f"{component}_params") or {}
            setattr(self, f"{component}_params", {**present, **changed})
        return self
