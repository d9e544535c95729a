"""For teachers: editions of the lessons, a course for nbgrader, and what thirty readers have done."""
