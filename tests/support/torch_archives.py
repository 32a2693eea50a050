"""State dicts that PyTorch 2.13 saved with `torch.save`, without PyTorch.

The model is `Sequential(Linear(3, 4), ReLU(), Linear(4, 1))` with the seed 0. `second` adds 0.5 to `2.weight[0, 1]`.
"""

from __future__ import annotations

import base64
import zlib

_ARCHIVES = {
    "first": (
        "eNqdlU9o01Acx1//rO2yqXNzav0zderW+adr061/UKtGCWgObp1KEbRmbVzDsnW/5lVxUBF0k6Ee1Isi7OJRRASHB109iAcPHvQg"
        "DFQEL+rFg4IXD76X1JpkddM9SB9p3uf7+yb5/l56BIcTIY8HzRp1aAVSM50ZEYv+kUGF55rQsdnjvD2dzimKlMZyblhlDuUzUl7K"
        "7JfTmAHUkQCbL0m1A/4zkjyQxWBP41w+nfWnClhWVCaVl/oLspJJYWlYzeVTp1kGHD5f0k0YlawUByRw6gjDKzkR9+l/MlCTtFFd"
        "cCUdZE6PFMAt1GPw9ApIcAqOcagVHIJtHJiJLPVRh6E+AYuSLs1MvyyqsDhLKmWdWV0pCEuybsGJoUFTGIOlgm0MGnW6CcOyBDRr"
        "t8L+vpXlJp6FFTq/kvI2wTkOXmKEOFila6zGsCYBazUHrO6gxaQQgnVEwYZhvaYwBhvoT6tOb8SwKQGbC0VoS9aSxakhCYv03UC7"
        "dp08M/rSoKMIW7Snd1rKq+SVwFbBppYf1bYibM9WzoPgL0Lnn3MWAkUIaucFtd/fI7g9Ey8zy2bINXr0/DUojaidBsV/KpcfEnGq"
        "XJjnNlbLi3UEaZ1HX99eoBbo8fc6zWinVqeci5SoyAPDQ9Iw5rnov5SqOsJd1MDuM/DZTkrY5zRQj5zUQP9ZLOVoznkOIUXGWJGo"
        "xtiuj176bl1zatSifb+7qjPAc7sXbLw8Pt25+rjpxmT8nPCt9OLyTOnBw3Spb6Ilvmdwx5NR8Uuce9c7/XpkTXzyLlv6Mvhpmjp9"
        "vfdhY4AmYh6n3orTIM81V3c6HVr09M3zZ6WLU2rJ03V/J9U/0Hp8qoEoNMyjH6voszzXvbAncVI+GF95+1b8ytV7pZ/fT5Ro/dE4"
        "7v6/+qEF17/5IxanNZs+vm8jhZBzzpqMnqBKi5CmZyj9anLgyPz586KI1gCaZVXKy6QDRkW68abkDM+FFnIHwUAkEg2zETYWicWi"
        "3V3BMNsdZAOhcCQaCbBhNhroCrHhWIi6XHL4UthHfPg0lzZqtuLTuFXUzXJu+I5YQWPvN5qgDjuqsq9YeWPrNpv4a2V+1n5hlTB2"
        "br15a3MgU8dbSWMn1ZrIow70p8+tmLFBzBjNT6XprJgx12bspAFjrZgxmmbsgwELWTFjJhkTdrgGGVJs5Ywp8Zq46zpXPb89gsu1"
        "rbywxbHd0DLmudeuz1GXPhPOrQWwXF7/htS4dIbR1utrfwHB5ePa"
    ),
    "second": (
        "eNqdlU9s01Ycx1/+NEnddistHQuwbvxr0w3S2PmvsXQYZAmMRJuyKaoEwU28xqrb9Be/gFYpaNJopWpw2HbZYeqF44QmJBAHaEBC"
        "HDhwgAMSUkFIFVLphQOTduHAe3aa2m5otz7JebLzPt/f1/b39zwoutwI+Xxo3WhBO5CW789LWApOjasC34lG1o+fnLlcUVXlHFaK"
        "kxpzqpSXS3L+mJLDDKC+NDgCGaodCl6QlbECBmcOF0u5QjBbxoqqMdmSPFpW1HwWy5NasZQ9zzHgCgQyXsJoZKU0JoPbQBhBLUp4"
        "2LjIQFPGQXXBk3GROTdVBq/YisE3JCLRLbpmoVl0iY5ZYOYK1EcLhtY0tGU8uplRRdLgowKpVHAXDCUWPi54RTeGdl1hBraJjhno"
        "MOhODNvT0KXfCrd6K59YeA52GPynlHeI7lnwEyPEwU5DYxeG3Wn4THfAGQ66LQph+JwoODB8oSvMwB76s9eg92HYn4YD5Qr0ZJrJ"
        "4uyEjCX6bqBX/588M/rSoK8CX+pP77xc0sgrga9Eh1Z7VAcrcKhQP2chWIH+tXMOQhVg9fOyNhocFL2+uUf57c/If/QY/GBQOlAv"
        "DUrwh2JpQsLZWmGB39coL/bB0jq33iz+TC3Q48N1utBhvU4tF1lJVcYmJ+RJLPCJ/1Kq4YhFqIGBC/DaSUo4NzTQitzUwOiPWC7S"
        "nAs8QqqCsSpTjZlvlvz03Xo21GhGR1e7qj8k8ANbNl4by1ev3O78fT51UXxbffjLs+r1G7nq8Fx36tvxr+9MSysp/vnQwpOp3an5"
        "v7jqyvjyAnX65MiNjhBNxCZO/XWnrMB3NXa6EG67+/TB/eqlm1rVF/n7MNU/vvfMzXai0L6JfrKuzwl8dGtP4pxyInX50cmBy1eu"
        "Vd/9c7ZK64fuvcr/v/rhLdf/499kitbsXHrRQwoh94Y1GSNB9RYhTc9Q+vH82Heb58+P4noD6JY1uaSQDpiW6MabVfICH97KHbCh"
        "eDwR4+JcMp5MJqIRNsZFWS4UjpGrCY6NhGLRSIxNRqnLkT8XnwaIj4Du0kHN1n2at4qWdc5N3xE7aO79DgvU50QN9hU7b27dLgv/"
        "a41ft1/YJcyd22rd2lzI0vF20txJzRbyexda63M7Zm4QK0bzU286O2bOtRU7Z8I4O2aOphV7acLCdsycScaCnW5CphTbOXNK/Bbu"
        "N4NrnN9B0eM5WFvY7TpkahnrPOQ05oTHmAnn1QNYK298Q5o8BsPo64217wHcaej5"
    ),
}


def torch_archive(name: str) -> bytes:
    """Return the archive `first` or `second`."""
    return zlib.decompress(base64.b64decode(_ARCHIVES[name]))
