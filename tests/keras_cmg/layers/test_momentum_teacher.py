"""The teacher: moving averages, lent to the student's own layers."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_cmg.layers import MomentumTeacher, TransformerEncoder

X = np.random.default_rng(0).normal(size=(2, 4, 3)).astype("float32")


def array(value):
    return np.array(ops.convert_to_numpy(ops.stop_gradient(value)))


def pair(momentum=0.75):
    student = TransformerEncoder(units=4, num_heads=2, feedforward_units=4, dropout=0.5, seed=0)
    student.build(X.shape)
    teacher = MomentumTeacher(momentum)
    teacher.follow([student])
    return student, teacher


def test_starts_as_the_student():
    student, teacher = pair()
    found = teacher.run(lambda: student(X))
    np.testing.assert_allclose(array(found), array(student(X)), rtol=1e-6)


def test_follows_by_the_closed_form_and_leaves_the_student_alone():
    student, teacher = pair()
    start, moved = array(student.projection.kernel), array(student.projection.kernel) + 1
    student.projection.kernel.assign(moved)
    for _ in range(5):
        teacher.update()
    average = teacher.averages[teacher.followed.index(student.projection.kernel)]
    expected = 0.75**5 * start + (1 - 0.75**5) * moved
    np.testing.assert_allclose(array(average), expected, rtol=1e-5)
    np.testing.assert_array_equal(array(student.projection.kernel), moved)
    assert not np.allclose(array(teacher.run(lambda: student(X))), array(student(X)))
    np.testing.assert_array_equal(array(student.projection.kernel), moved)


@pytest.mark.parametrize("frozen", ["teacher", "student", "projection"])
def test_what_is_frozen_keeps_its_averages(frozen):
    student, teacher = pair()
    held = student.variables
    if frozen == "projection":
        student.projection.trainable, held = False, student.projection.variables
    else:
        (teacher if frozen == "teacher" else student).trainable = False
    held = {id(v) for v in held}
    before = [array(average) for average in teacher.averages]
    for variable in teacher.followed:
        variable.assign(array(variable) + 1)
    teacher.update()
    for variable, old, new in zip(teacher.followed, before, teacher.averages, strict=True):
        moved = 0.0 if id(variable) in held else 0.25
        np.testing.assert_allclose(array(new), (1 - moved) * old + moved * array(variable), 1e-5)


def test_is_no_second_owner_of_the_students_weights():
    student, teacher = pair()
    assert teacher.trainable_variables == []
    assert len(teacher.variables) == len(teacher.averages) == len(student.trainable_variables)


@pytest.mark.parametrize("momentum", [-0.1, 1.0])
def test_bad_momentum_is_named(momentum):
    with pytest.raises(ValueError, match=r"`momentum` must lie in \[0, 1\)"):
        MomentumTeacher(momentum)


def test_config():
    teacher = MomentumTeacher(0.9, name="teacher")
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(teacher))
    assert again.get_config() == teacher.get_config()
