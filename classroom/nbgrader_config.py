"""nbgrader's settings for this course. The exchange, a folder that all can reach, is the teacher's to choose."""

import os

c = get_config()  # type: ignore[name-defined]  # noqa: F821, nbgrader gives it

c.CourseDirectory.course_id = "convnet-course"
c.Exchange.root = os.environ.get("NBGRADER_EXCHANGE", "/srv/nbgrader/exchange")

# What stands in the place of a solution. It fits into a function and outside of one, so signatures stay.
c.ClearSolutions.code_stub = {"python": "...  # your code here"}

# Seconds for one cell. The default of 30 would interrupt right answers on a slow machine. What has not ended by then is
# an endless loop: it is interrupted, and gets no points.
c.Execute.timeout = int(os.environ.get("NBGRADER_SECONDS", "120"))
c.Execute.interrupt_on_timeout = True
# And so long for its last words: by default 4, after which a busy machine's whole submission would stay without points.
c.Execute.iopub_timeout = 60
