"""Record what the explorer of lesson 7 shows: ``make attribution`` (about seven minutes on two cores).

For each photo the maps of its classes, 8 bits a value, and the score of its first class for every choice of up to five
of 16 patches, in hundredths: nothing in the explorer's game is estimated.
"""

import numpy as np

from helpers import pretrained
from helpers.bars import tqdm
from helpers.hooks import inference
from helpers.lessons import lesson_07

AT_ONCE = 27


def main() -> None:
    """Compute, and write ``recorded.npz`` beside this file."""
    model, kept = pretrained.load(), {}
    choices = lesson_07.all_choices()
    for name, labels in lesson_07.PHOTOS.items():
        image = lesson_07.sample_photo(name)
        with inference(model):
            scores = model(image[None])[0]
        for label in labels:
            index = pretrained.CLASSES.index(label)
            kept[f"{name}/{label}"] = np.array([scores[index], scores.softmax(0)[index]], np.float64)
            for method, heat in lesson_07.explorer_maps(model, image, index).items():
                key = f"{name}/{label}/{method}"
                kept[key], kept[f"{key}/limit"] = lesson_07.levels(heat)
        index = pretrained.CLASSES.index(labels[0])
        kept[f"{name}/order"] = np.array(lesson_07.patch_order(model, image, index))
        found = []
        for first in tqdm(range(0, len(choices), AT_ONCE), desc=name):
            found += lesson_07.choice_scores(model, image, choices[first : first + AT_ONCE], index)
        kept[f"{name}/scores"] = (100 * np.array(found)).round().astype("<i2")
    np.savez_compressed(lesson_07.RECORD, **kept)


if __name__ == "__main__":
    main()
