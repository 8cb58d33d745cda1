"""Leads libraries that look at no variable through the gate; then makes room for the sitecustomize that was there.

Two of them: aiohttp takes a proxy only if the program says so, and certifi hands out certificates of its own. Both are
changed when the program imports them, only for the hosts that are intercepted, and only where it has said nothing else.
"""

import os
import sys


def _next():
    """Runs the sitecustomize that this one stands before."""
    here = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [path for path in sys.path if os.path.abspath(path or os.curdir) != here]
    if sys.version_info < (3, 5):
        return _next_of_old()
    from importlib.machinery import PathFinder
    from importlib.util import module_from_spec

    spec = PathFinder.find_spec("sitecustomize", sys.path)
    if spec is None or spec.loader is None:
        return
    module = module_from_spec(spec)
    sys.modules["sitecustomize"] = module
    spec.loader.exec_module(module)


def _next_of_old():
    """The same in versions whose import works otherwise."""
    import imp

    try:
        found = imp.find_module("sitecustomize", sys.path)
    except ImportError:
        return
    try:
        imp.load_module("sitecustomize", *found)
    finally:
        found[0].close()


def _aiohttp(module):
    """Names the proxy in each request of a session that has none."""
    proxy = os.environ.get("TOLLGATE_RUN_PROXY")
    hosts = [host for host in os.environ.get("TOLLGATE_RUN_HOSTS", "").split(",") if host]
    session = module.ClientSession
    request = session._request
    if not proxy or not hosts:
        return

    def is_intercepted(self, url):
        url = self._build_url(url) if hasattr(self, "_build_url") else module.URL(url)
        host = (url.host or "").lower().rstrip(".")
        return url.scheme in ("https", "wss") and any(host == one or host.endswith("." + one) for one in hosts)

    def led(self, method, str_or_url, **kwargs):
        try:
            has_own = kwargs.get("proxy") is not None or getattr(self, "_default_proxy", None) is not None
            if not has_own and not self._trust_env and is_intercepted(self, str_or_url):
                kwargs["proxy"] = proxy
        except Exception:  # What is asked for is wrong; the library says so better.
            pass
        return request(self, method, str_or_url, **kwargs)

    led.__wrapped__ = request
    session._request = led


def _certifi(module):
    """Hands out what the machine and the user trust, and the gate's root."""
    bundle = os.environ.get("TOLLGATE_RUN_TRUST")
    if not bundle or not os.path.isfile(bundle):
        return

    def where():
        return bundle

    def contents():
        with open(bundle) as file:
            return file.read()

    module.where = where
    module.contents = contents


_CHANGES = {"aiohttp.client": _aiohttp, "certifi.core": _certifi}


class _Finder:
    """Finds nothing by itself; wraps what others find."""

    @staticmethod
    def find_spec(name, path=None, target=None):
        change = _CHANGES.get(name)
        if change is None:
            return None
        from importlib.machinery import PathFinder

        spec = PathFinder.find_spec(name, path, target)
        if spec is None or spec.loader is None or not hasattr(spec.loader, "exec_module"):
            return None
        run = spec.loader.exec_module

        def exec_module(module):
            run(module)
            try:
                change(module)
            except Exception:  # A version that is made otherwise goes its own way.
                pass

        try:
            spec.loader.exec_module = exec_module
        except AttributeError:
            return None
        return spec


if sys.version_info >= (3, 5):
    sys.meta_path.insert(0, _Finder)
_next()
