"""What the notebooks of the course import: the ideas of the lessons, made robust and fast.

Nothing is imported here, so that ``import helpers`` costs nothing; a lesson imports the modules that it uses.
From the ground up, a module imports only modules on floors below its own:

0. ``images``, ``filters``, ``hooks``, ``devices``, on ``arguments``, ``bars`` and ``files``
1. ``data``, ``models``, ``pretrained``, ``incremental``, ``atlas``
2. ``training``, ``features``, ``attribution``, ``dream``, ``style``
3. ``plotting``

``lessons`` stands above all of them: one module for each lesson, with what only that lesson needs.
"""
