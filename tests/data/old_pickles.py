"""Pickles as Python 2 wrote them, which no library of today can write."""

import pickle


def python2(value):
    """Pickle as Python 2 and its numpy did: text as bytes, arrays with their raw string."""
    return b"\x80\x02" + _old(value) + b"."


def python3(protocol):
    """A pickling function of today's Python and numpy."""
    return lambda value: pickle.dumps(value, protocol)


def _old(value):
    if value is None:
        return b"N"
    if isinstance(value, bool):
        return b"I01\n" if value else b"I00\n"
    if isinstance(value, int):
        return b"J" + value.to_bytes(4, "little", signed=True)
    if isinstance(value, str | bytes):
        raw = value.encode() if isinstance(value, str) else value
        return b"T" + len(raw).to_bytes(4, "little") + raw
    if isinstance(value, list | tuple):
        items = b"".join(map(_old, value))
        return b"](" + items + b"e" if isinstance(value, list) else b"(" + items + b"t"
    if isinstance(value, dict):
        return b"}(" + b"".join(_old(k) + _old(v) for k, v in value.items()) + b"u"
    kind = b"cnumpy\ndtype\n" + _old(("u1", 0, 1)) + b"R"
    kind += _old((3, "|", None, None, None, -1, -1, 0)) + b"b"
    empty = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n" + _old((0,)) + _old("b")
    state = _old(1) + _old(value.shape) + kind + _old(False) + _old(value.tobytes())
    return empty + b"tR(" + state + b"tb"
