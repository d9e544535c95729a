"""All benchmarks, one after the other: ``python -m benchmarks``."""

from benchmarks import looking, painting, recipe

looking.main()
painting.main()
recipe.main()
