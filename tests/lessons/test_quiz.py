import json

import numpy as np
import pytest

from helpers.lessons.quiz import FOLDER, quiz


@pytest.mark.parametrize("number", range(1, 10))
def test_a_quiz_has_the_questions_of_its_file(number):
    assert quiz(number).content["questions"] == json.loads((FOLDER / f"{number:02}.json").read_text())


def test_a_number_of_numpy_will_do():
    assert quiz(np.int64(4)).content == quiz(4).content


def test_a_lesson_without_a_quiz():
    with pytest.raises(ValueError, match="the number of a lesson that has a quiz, not 10"):
        quiz(10)
