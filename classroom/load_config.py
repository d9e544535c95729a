"""The hub's own settings, with what a load test needs in their place: made-up students, all of them this person.

Only ``load.py`` uses it. It lets in whoever knows a password that is made for one run, on this machine alone.
"""

import os
from pathlib import Path

load_subconfig(str(Path(__file__).with_name("jupyterhub_config.py")))  # type: ignore[name-defined]  # noqa: F821

c = get_config()  # type: ignore[name-defined]  # noqa: F821

c.JupyterHub.authenticator_class = "dummy"
c.DummyAuthenticator.password = os.environ["COURSE_LOAD_PASSWORD"]
c.JupyterHub.spawner_class = "simple"
c.SimpleLocalProcessSpawner.home_dir_template = str(Path(os.environ["COURSE_LOAD_FOLDER"]) / "homes" / "{username}")
# By this word the processes of a run are known, to be measured and to be ended.
c.Spawner.environment |= {"COURSE_LOAD_RUN": os.environ["COURSE_LOAD_RUN"]}
if os.geteuid() == 0:
    c.Spawner.args = [*c.Spawner.args, "--allow-root"]
