"""Show a lab in a browser: who has what, what runs, what went wrong, and the way to stop it all.

It comes with the extra `server`, is served beside the REST routes by ``actorlab serve`` and ``Server(lab,
dashboard=True)``, and loads nothing from anywhere else. NiceGUI keeps its state in its modules, so that a process shows
one dashboard at a time.

How to add a panel
------------------
A panel is a page with a tab. It stands in a file of its own, with one function, and has a line in `panels.PANELS`::

    def show_runs(page: PageContext) -> None:       # or `async def`; within 3 s, so that the browser gets the page
        box = ui.column()

        async def refresh(news: News) -> None:
            runs = await page.look(lambda: page.lab.runs)   # in a thread: a look at the lab never waits for a device
            with box.clear():
                ...

        page.watch(refresh, kinds={"run", "step", "progress"})

    PANELS = (..., Panel("/dashboard/runs", "Runs", show_runs))

What the `page` gives (see `page.PageContext`):

- `page.lab`, `page.desk`, `page.who`, and `page.may("operator")`: what somebody may not do isn't even shown.
- `page.query`: the query of the address, such as ``/dashboard/runs?run=sweep%231``. Links are plain links.
- `await page.look(function, *args)` for what needs no device, `await page.call(function, *args)` for what may wait for
  one, both in threads. Nothing else may take time: all browsers share one event loop.
- `page.watch(refresh, kinds=…)`: `refresh(news)` is called once at the begin, and then when something has happened, at
  most five times a second however much happens; `news.events` are the events, `news.gap` says that some are missing, so
  that everything may have changed (as at the begin). It isn't called while nobody is connected.
- `page.every(seconds, refresh)`: for what no event tells, such as how busy a device is.
- `page.acts("operator", "cancel a run", handler)`: the handler of every button that does something. Here, and only
  here, it is checked on the server that who clicks may do it; errors are shown to whoever clicked.
- `page.tell(text, "negative")`: a short notice in this browser.

Elements are made in ``with box:``; values of existing ones may be set anywhere in the event loop. Texts that come from
elsewhere go into `ui.label`, never into `ui.html`. Classes of `dashboard.css`: ``panel`` (a card), ``grid`` (cards side
by side), ``muted``, ``mono``, ``row``, ``chip`` with ``chip-good|busy|warn|bad|off``, ``error-text``, ``facts``.
"""

from actorlab.dashboard.serving import Dashboard

__all__ = ["Dashboard"]
