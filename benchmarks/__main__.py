"""All benchmarks, one after the other: ``python -m benchmarks``."""

from benchmarks import looking, recipe

looking.main()
recipe.main()
