"""JupyterHub's settings for a class on one server: ``jupyterhub -f classroom/jupyterhub_config.py``.

What a teacher may choose is in ``hub.py``, class ``Settings``. As it stands, nobody can log in: names are to be
written into the list of the class, and each needs an account (``python -m classroom.accounts``).
"""

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from classroom import hub  # noqa: E402, found by the line above

c = get_config()  # type: ignore[name-defined]  # noqa: F821, JupyterHub gives it
chosen = hub.settings()
students, teachers = hub.read_class(chosen.class_list)
spawner, how = hub.choose_spawner(chosen)
print(f"May log in: students, {len(students)}; teachers, {len(teachers)} ({chosen.class_list}). {how}.", flush=True)

# --- Who may come in: accounts of this machine whose names are in the list, and nobody else ---------------------------

c.JupyterHub.authenticator_class = "pam"
c.Authenticator.allow_all = False
c.Authenticator.allowed_users = students | teachers
c.Authenticator.admin_users = teachers
c.Authenticator.allow_existing_users = False  # who is taken off the list cannot log in again
c.Authenticator.blocked_users = {"root"}

# --- The hub and its proxy: the proxy is started by itself, and outlives the hub, as the students' servers do ---------

c.JupyterHub.bind_url = f"http://127.0.0.1:{chosen.port}"
c.JupyterHub.hub_ip = chosen.hub_ip
c.JupyterHub.hub_port = chosen.hub_port
c.JupyterHub.cleanup_servers = False
c.JupyterHub.cleanup_proxy = False
c.ConfigurableHTTPProxy.should_start = False
c.ConfigurableHTTPProxy.api_url = f"http://127.0.0.1:{chosen.proxy_port}"
c.ConfigurableHTTPProxy.auth_token = hub.proxy_token(chosen)
c.JupyterHub.db_url = f"sqlite:///{chosen.state / 'hub.sqlite'}"
c.JupyterHub.cookie_secret_file = str(chosen.state / "cookie_secret")

# --- A student's server ----------------------------------------------------------------------------------------------

c.JupyterHub.spawner_class = spawner
c.Spawner.mem_limit = chosen.memory
c.Spawner.cpu_limit = chosen.processors
# First what is missing of the lessons is copied, as the student and so with no more rights; then the server starts.
c.Spawner.cmd = [sys.executable, "-P", str(ROOT / "classroom" / "student_server.py")]
c.Spawner.environment = {
    "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}",  # for terminals
    "COURSE_LESSONS": str(chosen.lessons),
    "FASHION_MNIST_ROOT": str(ROOT / "data"),
    "OMP_NUM_THREADS": "1",  # threads of several students would wait for each other
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
}
c.Spawner.default_url = "/lab/tree/convnet-course/00_start_here.ipynb"
c.Spawner.args = [
    f"--MappingKernelManager.cull_idle_timeout={60 * chosen.idle_minutes}",  # of closed lessons
    "--MappingKernelManager.cull_interval=300",
]
# A whole class comes at once, and each waits for the others' servers.
c.Spawner.start_timeout = 180
c.Spawner.http_timeout = 180
c.JupyterHub.concurrent_spawn_limit = 0
c.JupyterHub.tornado_settings = {"slow_spawn_timeout": 0}  # the page that shows progress comes at once

c.SystemdSpawner.isolate_tmp = True
c.SystemdSpawner.unit_extra_properties = {"TasksMax": "512", "MemorySwapMax": "0"}

if chosen.image:
    c.DockerSpawner.image = chosen.image
    c.DockerSpawner.cmd = []  # the image's own, which does the same
    c.DockerSpawner.environment = {"OMP_NUM_THREADS": "1"}
    c.DockerSpawner.volumes = {"convnet-course-{username}": "/home/student"}
    c.DockerSpawner.remove = True
    c.DockerSpawner.extra_host_config = {"pids_limit": 512}

# --- What nobody uses is stopped -------------------------------------------------------------------------------------

c.JupyterHub.services = [
    {
        "name": "idle-culler",
        "command": [
            *(sys.executable, "-m", "jupyterhub_idle_culler"),
            *(f"--timeout={60 * chosen.idle_minutes}", "--cull-every=300"),
        ],
    }
]
c.JupyterHub.load_roles = [
    {
        "name": "idle-culler",
        "scopes": ["list:users", "read:users:activity", "read:servers", "delete:servers"],
        "services": ["idle-culler"],
    }
]
