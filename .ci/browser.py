"What the browser checks share: Chromium, a page that is watched, and waiting."

import shutil
import time

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = ("--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
         "--disable-component-update --disable-sync --allow-file-access-from-files").split()
WIDE, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}


def watched(context, allowed=("file:", "data:", "blob:"), kinds=("error", "warning")):
    "A new page that reaches only addresses that begin as `allowed`, and what it complains of or tries besides."
    page, problems = context.new_page(), []

    def gate(route):
        if route.request.url.startswith(allowed): return route.continue_()
        problems.append(f"asked for {route.request.url}")
        route.abort()

    context.route("**/*", gate)
    page.on("console", lambda m: problems.append(m.text) if m.type in kinds else None)
    page.on("pageerror", lambda e: problems.append(str(e)))
    page.on("dialog", lambda d: (problems.append(f"dialog: {d.message}"), d.dismiss()))
    return page, problems


def until(question, what, seconds=30):
    "Ask until the answer is yes."
    end = time.time() + seconds
    while time.time() < end:
        if answer := question(): return answer
        time.sleep(0.1)
    raise TimeoutError(f"after {seconds} s: {what}")
