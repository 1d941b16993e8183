"""A page of a report as its reader finds it."""

from html.parser import HTMLParser

from ddp.report.page import make_page
from ddp.report.reading import read_run
from ddp.results.run_file import find_runs, read_runs


class Page(HTMLParser):
    """The parts of a page as a reader finds them."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.sections, self.ids, self.titles, self.labels = [], [], [], [], []
        self.rows, self.headers, self.text = [], [], ""
        self._open = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.tags.append((tag, attrs))
        self._open.append(tag)
        self.ids += [attrs["id"]] if "id" in attrs else []
        self.sections += [attrs["id"]] if tag == "section" else []
        self.titles += [""] if tag == "title" else []
        self.labels += [attrs["aria-label"]] if tag == "svg" and "aria-label" in attrs else []
        self.rows += [[]] if tag == "tr" else []
        if tag == "td":
            self.rows[-1].append("")

    def handle_endtag(self, tag):
        while self._open and self._open.pop() != tag:
            pass

    def handle_data(self, data):
        if not {"script", "style"} & set(self._open):
            self.text += data
        if "title" in self._open:
            self.titles[-1] += data
        elif "td" in self._open:
            self.rows[-1][-1] += data
        elif "th" in self._open:
            self.headers.append(data)


def page_of(folder):
    page = Page(make_page(read_runs(find_runs([folder]))))
    assert "could not be drawn" not in page.text
    return page


def read(folder):
    return [read_run(file) for file in read_runs(find_runs([folder]))]
