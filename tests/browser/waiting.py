"""A page draws before its next frame: what is read from it at once may be what stood there before."""


def drawn(page):
    """Wait until what was asked for is drawn."""
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")


def soon(page, holds):
    """Whether something holds within half a minute."""
    for _ in range(300):
        drawn(page)
        if holds():
            return True
        page.wait_for_timeout(100)
    return False
