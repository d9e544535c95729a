"""All benchmarks, one after the other: ``python -m benchmarks``."""

from benchmarks import latency, looking, painting, recipe, sharing

latency.main()
looking.main()
painting.main()
recipe.main()
sharing.main()
