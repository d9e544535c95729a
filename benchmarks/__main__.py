"""All benchmarks, one after the other: ``python -m benchmarks``."""

from benchmarks import looking, painting, recipe, sharing

looking.main()
painting.main()
recipe.main()
sharing.main()
