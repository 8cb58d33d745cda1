import sys

print(sys.version.split()[0])
print("urllib")
from importlib.util import find_spec

for name in ("httpx", "requests", "aiohttp"):
    if find_spec(name) is not None:
        try:
            from importlib.metadata import version

            print(name, version(name))
        except Exception:
            print(name)
